package chromium

import (
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Viewport is how a page is looked at.
type Viewport struct {
	Name   string
	width  int64
	height int64
	phone  bool
	dark   bool
}

var Viewports = []Viewport{
	{"desktop-light", 1280, 800, false, false}, {"desktop-dark", 1280, 800, false, true},
	{"phone-light", 390, 844, true, false}, {"phone-dark", 390, 844, true, true},
}

func (p *Tab) SetViewport(l Viewport) {
	p.T.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.Ctx, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.phone})
	if err == nil {
		_, err = chromedp.Call(p.Ctx, emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err != nil {
		p.T.Fatalf("look %s: %v", l.Name, err)
	}
}
