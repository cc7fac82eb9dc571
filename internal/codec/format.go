package codec

import (
	"fmt"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"siaran"
)

// saneRate returns the frame rate, or 0 when no encoder has such a rate.
func saneRate(rate float64) float64 {
	const limit = 1000
	if !(rate > 0 && rate <= limit) { // NaN too
		return 0
	}
	return math.Round(rate*1000) / 1000
}

// h264Format reads the three bytes that make up profile-level-id (RFC 6184 section 8.1).
func h264Format(id [3]byte, rate float64) *siaran.Format {
	const constraint3 = 0x10
	level := fmt.Sprintf("%d.%d", id[2]/10, id[2]%10)
	if id[2] == 11 && id[1]&constraint3 != 0 && (id[0] == 66 || id[0] == 77 || id[0] == 88) { // H.264 section A.3.4
		level = "1b"
	}
	return &siaran.Format{
		Profile: H264Profile(id[0], id[1]), Level: level,
		FMTP: fmt.Sprintf("profile-level-id=%02x%02x%02x", id[0], id[1], id[2]), FrameRate: saneRate(rate),
	}
}

// H264Profile names a profile by profile_idc and the constraint flags (H.264 annex A, RFC 6184 table 5).
func H264Profile(idc, constraints uint8) string {
	const set0, set1, set4, set5 = 0x80, 0x40, 0x08, 0x04
	switch idc {
	case 66:
		if constraints&set1 != 0 {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		if constraints&set0 != 0 {
			return "Constrained Baseline"
		}
		return "Main"
	case 88:
		if constraints&(set0|set1) == set0|set1 {
			return "Constrained Baseline"
		}
		return "Extended"
	case 100:
		if constraints&(set4|set5) == set4|set5 {
			return "Constrained High"
		}
		return "High"
	case 110:
		return "High 10"
	case 122:
		return "High 4:2:2"
	case 244:
		return "High 4:4:4 Predictive"
	}
	return fmt.Sprintf("profile %d", idc)
}

var h265Profiles = map[uint8]string{
	1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Format Range Extensions", 9: "Screen Content Coding",
}

// h265Format names the general profile (H.265 annex A.3); its level is in units of 1/30 (section A.4).
func h265Format(p *h265.SPS_ProfileTierLevel, rate float64) *siaran.Format {
	name := h265Profiles[p.GeneralProfileIdc]
	if name == "" {
		name = fmt.Sprintf("profile %d", p.GeneralProfileIdc)
	}
	return &siaran.Format{
		Profile: name, Level: fmt.Sprintf("%d.%d", p.GeneralLevelIdc/30, p.GeneralLevelIdc%30/3),
		FMTP: fmt.Sprintf("profile-id=%d;tier-flag=%d;level-id=%d", p.GeneralProfileIdc, p.GeneralTierFlag,
			p.GeneralLevelIdc),
		FrameRate: saneRate(rate),
	}
}

// vp9Formats are those of the four profiles; the frames do not say more.
var vp9Formats = [4]siaran.Format{
	{Profile: "Profile 0", FMTP: "profile-id=0"},
	{Profile: "Profile 1", FMTP: "profile-id=1"},
	{Profile: "Profile 2", FMTP: "profile-id=2"},
	{Profile: "Profile 3", FMTP: "profile-id=3"},
}

// av1Format names the profile (AV1 section 6.4.1) and the level (annex A.3).
func av1Format(s AV1Sequence) *siaran.Format {
	tier := 0
	if s.HighTier {
		tier = 1
	}
	level := ""
	if s.Level < 31 { // 31: no limits
		level = fmt.Sprintf("%d.%d", 2+s.Level>>2, s.Level&3)
	}
	return &siaran.Format{
		Profile: [...]string{"Main", "High", "Professional"}[s.Profile], Level: level,
		FMTP:      fmt.Sprintf("profile=%d;level-idx=%d;tier=%d", s.Profile, s.Level, tier),
		FrameRate: saneRate(s.FrameRate),
	}
}
