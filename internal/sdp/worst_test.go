package sdp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// worstOffers are offers of the full size in which one list that the parser reads is as long as it may be, or longer:
// once in every section, once in as few sections as take the bytes, and once at session level with 32 sections that
// look there. Most are refused; what counts is the time until then.
func worstOffers() map[string]string {
	codecs := func(n int) (formats, lines string) {
		for i := range n {
			formats += fmt.Sprintf(" %d", i)
			lines += fmt.Sprintf("a=rtpmap:%d VP8/90000\r\n", i)
		}
		return formats, lines
	}
	formats, maps := codecs(64)
	allFormats, allMaps := codecs(128)
	feedback := ""
	for i := range maxFeedback {
		feedback += fmt.Sprintf("a=rtcp-fb:* %c\r\n", 'a'+i)
	}
	rids, list := "", "a=simulcast:send "
	for i := range maxAttributes - 100 {
		rids += fmt.Sprintf("a=rid:%04d send\r\n", i)
		list += fmt.Sprintf("%04d,", i)
	}
	lists := map[string]struct{ formats, head, line string }{
		"extensions":      {" 96", "", "a=extmap:%d u:/\r\n"},
		"one extension":   {" 96", "", "a=extmap:1 u:/\r\n"},
		"long extensions": {" 96", "", "a=extmap:%d http://a/" + strings.Repeat("%%41", 200) + "\r\n"},
		"sources":         {" 96", "", "a=ssrc:%d c\r\n"},
		"one source":      {" 96", "", "a=ssrc:1\r\n"},
		"feedback":        {formats, maps + feedback, "a=rtcp-fb:* p\r\n"},
		"much feedback":   {allFormats, allMaps + feedback, "a=rtcp-fb:* p\r\n"},
		"feedback twice":  {formats, maps + feedback, "a=rtcp-fb:%d y\r\n"},
		"feedback of one": {formats, maps + strings.ReplaceAll(feedback, "*", "63"), "a=rtcp-fb:63 p\r\n"},
		"codecs":          {allFormats, allMaps, "a=fmtp:96 apt=1;apt=1\r\n"},
		"repeated codecs": {" 96", "", "a=rtpmap:96 VP8/90000\r\n"},
		"parameters": {" 96 97", "a=rtpmap:97 rtx/90000\r\na=fmtp:97 " + strings.Repeat("a;", 20_000) + "\r\n",
			"a=fmtp:1\r\n"},
		"rids":             {" 96", "", "a=rid:%d send\r\n"},
		"simulcast":        {" 96", rids + strings.TrimSuffix(list, ",") + "\r\n", "a=x\r\n"},
		"long simulcast":   {" 96", rids[:20*17] + "a=simulcast:send " + strings.Repeat("0001;", 2000) + "\r\n", "a=x\r\n"},
		"candidates":       {" 96", "", "a=candidate:1 1 udp 1 1.1.1.1 %d typ host\r\n"},
		"bad candidates":   {" 96", "", "a=candidate:1 1 udp 1 x 1 typ host\r\n"},
		"fingerprints":     {" 96", "", "a=fingerprint:x Y\r\n"},
		"long prints":      {" 96", "", "a=fingerprint:x " + strings.Repeat("y", 1000) + "\r\n"},
		"groups":           {" 96", "", "a=group:LS 0\r\n"},
		"one group":        {" 96", "a=group:BUNDLE 0" + strings.Repeat(" z", 25_000) + "\r\n", "a=x\r\n"},
		"options":          {" 96", "", "a=ice-options:x\r\n"},
		"long options":     {" 96", "", "a=ice-options:" + strings.Repeat("x ", 400) + "\r\n"},
		"short attributes": {" 96", "", "a=x\r\n"},
		"formats":          {strings.Repeat(" 1", 20_000), "", "a=x\r\n"},
		"protocols":        {" 96", "", "b=x:1\r\n"},
		"times":            {" 96", "", "t=0 0\r\n"},
		"repeats":          {" 96", "", "r=1 1 1\r\n"},
	}
	const (
		top    = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
		needed = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\na=fingerprint:sha-1 " +
			"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33\r\n"
	)
	bundle := "a=group:BUNDLE"
	for i := range maxSections {
		bundle += fmt.Sprintf(" %d", i)
	}
	bundle += "\r\n"
	fill := func(b *strings.Builder, head, line string, bytes, lines int) {
		b.WriteString(head)
		for i := 0; i < lines; i++ {
			text := line
			if strings.Contains(line, "%") {
				text = fmt.Sprintf(line, i+1)
			}
			if b.Len()+len(text) > bytes {
				return
			}
			b.WriteString(text)
		}
	}
	section := func(mid int, formats, attributes string) string {
		return fmt.Sprintf("m=video 9 RTP%s\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\na=rtcp-mux\r\na=inactive\r\n%s", formats, mid,
			attributes)
	}
	small := ""
	for i := range maxSections {
		small += section(i, " 96", "")
	}
	offers := make(map[string]string)
	for name, l := range lists {
		var every, few, session strings.Builder
		every.WriteString(top + bundle + needed)
		for i := range maxSections {
			share := every.Len() + (maxOfferBytes-every.Len())/(maxSections-i)
			every.WriteString(section(i, l.formats, ""))
			fill(&every, l.head, l.line, share, maxAttributes)
		}
		few.WriteString(top + bundle + needed)
		for i := 0; i < maxSections && few.Len() < maxOfferBytes-100; i++ {
			few.WriteString(section(i, l.formats, ""))
			fill(&few, l.head, l.line, maxOfferBytes-80, maxAttributes-2-strings.Count(l.head, "\n")-3)
		}
		session.WriteString(top)
		fill(&session, l.head, l.line, maxOfferBytes-len(small)-len(bundle)-len(needed),
			maxAttributes-6-strings.Count(l.head, "\n"))
		session.WriteString(bundle + needed + small)
		offers[name+" in every section"] = every.String()
		offers[name+" in few sections"] = few.String()
		offers[name+" of the session"] = session.String()
	}
	for name, text := range offers {
		if len(text) > maxOfferBytes { // the head is as long as the section may be
			cut := text[:maxOfferBytes]
			offers[name] = cut[:strings.LastIndexByte(cut, '\n')+1]
		}
	}
	return offers
}

// quickest is how long f took when it was disturbed least.
func quickest(runs int, f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range runs {
		begin := time.Now()
		f()
		best = min(best, time.Since(begin))
	}
	return best
}

// muchWork is how many times as long as the offer of a browser the worst one may take. Before lists were bounded it
// was 300; offers of the same size that are nothing but short lines take 10.
const muchWork = 200

// TestWorstOffers compares with the offer of a browser, so that it does not matter how fast the machine is.
func TestWorstOffers(t *testing.T) {
	usual := []byte(readOffer(t, "whep-chromium.sdp"))
	for name, text := range worstOffers() {
		if len(text) > maxOfferBytes {
			t.Fatalf("%s: %d bytes", name, len(text))
		}
		offer := []byte(text)
		ratio := 0.0
		for range 5 { // the machine may be busy with something else for a while
			usually := quickest(10, func() { ParseOffer(usual) })
			ratio = float64(quickest(3, func() { ParseOffer(offer) })) / float64(usually)
			if ratio < muchWork {
				break
			}
		}
		if ratio >= muchWork {
			_, err := ParseOffer(offer)
			t.Errorf("%s: %d bytes take %.0f times as long as a browser's offer (%v)", name, len(text), ratio, err)
		}
	}
}

func BenchmarkParseOffer(b *testing.B) {
	offers := worstOffers()
	for _, name := range []string{"whep-chromium.sdp", "whip-chromium-simulcast.sdp"} {
		offers[name] = readOffer(b, name)
	}
	for _, name := range slices.Sorted(maps.Keys(offers)) {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			offer := []byte(offers[name])
			b.ReportAllocs()
			for b.Loop() {
				ParseOffer(offer)
			}
		})
	}
}
