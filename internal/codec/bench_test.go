package codec

import "testing"

func BenchmarkFramer(b *testing.B) {
	for _, r := range recordings {
		b.Run(r.file, func(b *testing.B) {
			packets := readRecorded(b, r.file)
			f := NewFramer(r.codec)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p := packets[i%len(packets)]
				f.Next(p.payload, p.timestamp, p.marker)
			}
		})
	}
}
