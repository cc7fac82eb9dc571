package ingest

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
)

func TestAudienceIsToldSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a audience
		told := func() *rtcp.ApplicationDefined {
			t.Helper()
			list := a.due(time.Now(), 7)
			if len(list) == 0 {
				return nil
			}
			return list[0].(*rtcp.ApplicationDefined)
		}
		if told() != nil {
			t.Error("told before anything is known")
		}
		a.set(3, 5)
		p := told()
		if p == nil || p.SSRC != 7 || p.Name != "SIRN" || p.SubType != 0 ||
			!bytes.Equal(p.Data, []byte{0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5}) {
			t.Errorf("%+v", p)
		}
		a.set(4, 6)
		if told() != nil {
			t.Error("told twice in a second")
		}
		time.Sleep(time.Second)
		if p := told(); p == nil || p.Data[3] != 4 || p.Data[11] != 6 {
			t.Errorf("a change is told as %+v", p)
		}
		a.set(4, 6)
		time.Sleep(audienceRepeat - 1)
		if told() != nil {
			t.Error("told without a change")
		}
		time.Sleep(time.Nanosecond)
		if told() == nil {
			t.Error("not repeated")
		}
		a.set(-1, 6)
		time.Sleep(time.Second)
		if p := told(); p == nil || p.Data[3] != 0 || p.Data[0] != 0 {
			t.Errorf("fewer than nobody is told as %+v", p)
		}
	})
}
