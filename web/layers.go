package web

import (
	"errors"
	"math"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// relLayer is the relation of the address at which a viewer chooses what it gets (the layer extension of WHEP).
const relLayer = "urn:ietf:params:whep:ext:core:layer"

const maxLayerID = 7

// layerRequest is the body of a choice. Unknown members are ignored.
type layerRequest struct {
	MediaID            *string `json:"mediaId"`
	RID                string  `json:"rid"`
	SpatialLayerID     *int    `json:"spatialLayerId"`
	TemporalLayerID    *int    `json:"temporalLayerId"`
	MaxSpatialLayerID  *int    `json:"maxSpatialLayerId"`
	MaxTemporalLayerID *int    `json:"maxTemporalLayerId"`
	MaxWidth           float64 `json:"maxWidth"` // pages measure parts of pixels
	MaxHeight          float64 `json:"maxHeight"`
	AudioOnly          bool    `json:"audioOnly"` // ours
}

// layerView is one layer of the stream as viewers see it.
type layerView struct {
	RID      string `json:"rid,omitempty"`
	Spatial  *int   `json:"spatialLayerId,omitempty"`
	Temporal *int   `json:"temporalLayerId,omitempty"`
	Bitrate  int    `json:"bitrate"` // bits a second, with the layers that it is built upon; 0: nothing comes
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
}

// viewingView is what a viewer gets now.
type viewingView struct {
	RID       string               `json:"rid,omitempty"`
	Spatial   int                  `json:"spatialLayerId"`
	Temporal  int                  `json:"temporalLayerId"`
	Width     int                  `json:"width"`
	Height    int                  `json:"height"`
	Target    int                  `json:"targetBitrate"` // bits a second that the path is believed to carry; 0: unknown
	Automatic bool                 `json:"automatic"`
	Reason    siaran.ViewingReason `json:"reason"`
}

func viewViewing(v siaran.Viewing) viewingView {
	return viewingView{v.RID, v.Spatial, v.Temporal, v.Width, v.Height, v.Target, v.Automatic, v.Reason}
}

// chooseLayer takes a viewer's choice: 200, or 422 if the stream has no such layer.
func (s *Server) chooseLayer(p *protocol) echo.HandlerFunc {
	return s.changing(func(c echo.Context) error {
		id, info, err := s.session(c, p)
		if err != nil {
			return err
		}
		var r layerRequest
		if err := readJSON(c, &r); err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return err
		}
		if r.MediaID != nil && *r.MediaID != info.VideoMedia {
			return fail(noSuchLayer, "mediaId %q is not the m-line of the video", *r.MediaID)
		}
		return s.choose(c, id, r.choice())
	})
}

// check names the member that is out of its range.
func (r *layerRequest) check() error {
	for _, id := range []struct {
		name  string
		value *int
	}{
		{"spatialLayerId", r.SpatialLayerID}, {"temporalLayerId", r.TemporalLayerID},
		{"maxSpatialLayerId", r.MaxSpatialLayerID}, {"maxTemporalLayerId", r.MaxTemporalLayerID},
	} {
		if id.value != nil && (*id.value < 0 || *id.value > maxLayerID) {
			return fail(invalidValue, "%s must be a number from 0 to %d", id.name, maxLayerID)
		}
	}
	for _, size := range []struct {
		name  string
		value float64
	}{{"maxWidth", r.MaxWidth}, {"maxHeight", r.MaxHeight}} {
		if size.value < 0 || size.value > math.MaxUint16 {
			return fail(invalidValue, "%s must be a number from 0 to %d", size.name, math.MaxUint16)
		}
	}
	return nil
}

func (r *layerRequest) choice() siaran.LayerChoice {
	return siaran.LayerChoice{
		RID: r.RID, Spatial: r.SpatialLayerID, Temporal: r.TemporalLayerID,
		MaxSpatial: r.MaxSpatialLayerID, MaxTemporal: r.MaxTemporalLayerID,
		MaxWidth: int(math.Ceil(r.MaxWidth)), MaxHeight: int(math.Ceil(r.MaxHeight)), AudioOnly: r.AudioOnly,
	}
}

// unchooseLayer leaves the choice to the server again.
func (s *Server) unchooseLayer(p *protocol) echo.HandlerFunc {
	return s.changing(func(c echo.Context) error {
		id, _, err := s.session(c, p)
		if err != nil {
			return err
		}
		return s.choose(c, id, siaran.LayerChoice{})
	})
}

func (s *Server) choose(c echo.Context, id siaran.SessionID, choice siaran.LayerChoice) error {
	err := s.cfg.Egress.Choose(id, choice)
	if errors.Is(err, siaran.ErrUnacceptable) {
		reason := strings.TrimPrefix(err.Error(), siaran.ErrUnacceptable.Error()+": ")
		return fail(noSuchLayer, "that cannot be chosen: %s", reason)
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// showLayers answers with the layers that a viewer can choose from, as the event "layers" has them, and with what it
// gets now.
func (s *Server) showLayers(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, info, err := s.session(c, p)
		if err != nil {
			return err
		}
		viewing, err := s.cfg.Egress.Viewing(id)
		if err != nil {
			return err
		}
		return sendJSON(c, http.StatusOK, map[string]any{
			"layers": s.layersOf(info), "viewing": viewViewing(viewing),
		})
	}
}

// layersOf returns the layers of a session's stream by the m-line that they are sent in; none while it is not live.
func (s *Server) layersOf(info siaran.SessionInfo) map[string][]layerView {
	b, err := s.cfg.Hub.Broadcast(info.Stream)
	if err != nil || b.Video() == nil || info.VideoMedia == "" {
		return map[string][]layerView{}
	}
	list := []layerView{}
	for _, l := range b.Video().Layers {
		list = append(list, layersIn(l, !info.Described && l.Apart())...)
	}
	return map[string][]layerView{info.VideoMedia: list}
}

// layersIn returns the layers within one encoding: one for each temporal layer of each spatial one, or one in all, as
// for those who get it whole.
func layersIn(l *siaran.Layer, whole bool) (list []layerView) {
	rates, size := l.Rates(), l.SpatialSize
	if whole {
		rates, size = rates.Whole(), func(int) (int, int) { return l.Size() }
	}
	spatials, temporals := 1, 1
	for s := range rates {
		for t, rate := range rates[s] {
			if rate > 0 {
				spatials, temporals = max(spatials, s+1), max(temporals, t+1)
			}
		}
	}
	for s := range spatials {
		for t := range temporals {
			v := layerView{RID: l.RID(), Bitrate: 8 * sum(rates, s, t)}
			v.Width, v.Height = size(s)
			if spatials > 1 || v.RID == "" {
				v.Spatial = &s
			}
			if temporals > 1 {
				v.Temporal = &t
			}
			list = append(list, v)
		}
	}
	return list
}

// sum is the rate of a layer with those that it is built upon. It is 0 if nothing comes of the spatial layer itself.
func sum(rates siaran.LayerRates, spatial, temporal int) (bytes int) {
	own := 0
	for s := range spatial + 1 {
		own = 0
		for t := range temporal + 1 {
			own += rates[s][t]
		}
		bytes += own
	}
	if own == 0 {
		return 0
	}
	return bytes
}
