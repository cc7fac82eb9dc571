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
	still  bool // nothing moves for its own sake (prefers-reduced-motion)
}

// Viewports are those in which pages are looked at.
var Viewports = []Viewport{
	{Name: "desktop-light", width: 1280, height: 800}, {Name: "desktop-dark", width: 1280, height: 800, dark: true},
	{Name: "phone-light", width: 390, height: 844, phone: true},
	{Name: "phone-dark", width: 390, height: 844, phone: true, dark: true},
}

// Usual is how a page is opened: without a GPU, size and motion cost a third of what watching does.
var Usual = Viewport{Name: "usual", width: 960, height: 640, still: true}

// Still is the same without what moves for its own sake.
func (l Viewport) Still() Viewport {
	l.still = true
	return l
}

func (p *Tab) SetViewport(l Viewport) {
	p.T.Helper()
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	_, err := chromedp.Call(p.Ctx, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.phone})
	if err == nil {
		_, err = chromedp.Call(p.Ctx, emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
			}})
	}
	if err != nil {
		p.T.Fatalf("look %s: %v", l.Name, err)
	}
}
