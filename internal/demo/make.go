//go:build ignore

// This program draws the demo clip and encodes it with ffmpeg (libvpx, libopus):
//
//	go run make.go
//
// Every pixel and every sample is computed here, there is no material of others in it.
// The clip lasts ten seconds and everything in it moves with a period that divides ten
// seconds, so that its end meets its beginning.
package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"strconv"
)

const (
	width, height = 854, 480
	fps, seconds  = 25, 10
	keyframes     = 50 // frames from one to the next
	rate          = 48000
)

func main() {
	log.SetFlags(0)
	video()
	audio()
}

func video() {
	cmd := exec.Command("ffmpeg", "-v", "error", "-y",
		"-f", "rawvideo", "-pix_fmt", "rgb24", "-s", strconv.Itoa(width)+"x"+strconv.Itoa(height),
		"-r", strconv.Itoa(fps), "-i", "-",
		"-vf", "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p",
		"-c:v", "libvpx", "-b:v", "390k", "-maxrate", "520k", "-bufsize", "900k", "-deadline", "best", "-cpu-used", "0",
		"-auto-alt-ref", "0", "-lag-in-frames", "0", "-error-resilient", "0", "-qmin", "4", "-qmax", "50",
		"-g", strconv.Itoa(keyframes), "-keyint_min", strconv.Itoa(keyframes),
		"-f", "ivf", "clip.ivf")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	check(err)
	check(cmd.Start())
	c := &canvas{pix: make([]float64, width*height*3)}
	row := make([]byte, len(c.pix))
	for n := range fps * seconds {
		draw(c, n)
		for i, v := range c.pix {
			row[i] = byte(min(max(v, 0), 1)*255 + 0.5)
		}
		_, err := in.Write(row)
		check(err)
	}
	check(in.Close())
	check(cmd.Wait())
}

// audio renders three rounds and keeps the middle one, so that the decoder's state at its end is that at its beginning.
func audio() {
	var wav bytes.Buffer
	samples := 3 * seconds * rate
	for i := range samples {
		binary.Write(&wav, binary.LittleEndian, int16(32767*sound(math.Mod(float64(i)/rate, seconds))))
	}
	run(&wav, "-f", "s16le", "-ar", strconv.Itoa(rate), "-ac", "1", "-i", "-",
		"-c:a", "libopus", "-b:a", "32k", "-application", "audio", "-frame_duration", "20", "-f", "ogg", "all.ogg")
	run(nil, "-ss", strconv.Itoa(seconds), "-i", "all.ogg", "-c", "copy", "-frames:a", strconv.Itoa(seconds*50),
		"-map_metadata", "-1", "-fflags", "+bitexact", "-f", "ogg", "clip.ogg")
	check(os.Remove("all.ogg"))
}

func run(in io.Reader, args ...string) {
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-y"}, args...)...)
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	check(cmd.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// sound is a soft fifth that swells slowly, with a quiet pluck on every second: the moment the dial flashes.
func sound(t float64) float64 {
	swell := 0.75 + 0.25*math.Sin(2*math.Pi*t/5)
	v := 0.020 * swell * (math.Sin(2*math.Pi*220*t) + 0.7*math.Sin(2*math.Pi*330*t) + 0.25*math.Sin(2*math.Pi*440*t))
	scale := [seconds]float64{880, 660, 740, 660, 990, 880, 660, 740, 660, 1100}
	for back := range 2 { // the pluck of this second and the tail of the one before
		s := (int(t) - back + seconds) % seconds
		age := t - math.Floor(t) + float64(back)
		attack := min(age/0.004, 1)
		v += 0.06 * attack * math.Exp(-age*6) * (math.Sin(2*math.Pi*scale[s]*age) + 0.2*math.Sin(4*math.Pi*scale[s]*age))
	}
	return v
}

type colour [3]float64

func hex(v uint32) colour {
	return colour{float64(v>>16&255) / 255, float64(v>>8&255) / 255, float64(v&255) / 255}
}

func mix(a, b colour, t float64) colour {
	t = min(max(t, 0), 1)
	return colour{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
}

var (
	night = hex(0x0d1226)
	dusk  = hex(0x231544)
	teal  = hex(0x2fd6c3)
	coral = hex(0xff6b6b)
	amber = hex(0xffc857)
	white = hex(0xf4f6ff)
	dim   = hex(0x3a4470)
)

type canvas struct{ pix []float64 }

func (c *canvas) blend(x, y int, col colour, a float64) {
	if a <= 0 {
		return
	}
	p := c.pix[(y*width+x)*3:][:3]
	for i := range p {
		p[i] += (col[i] - p[i]) * min(a, 1)
	}
}

// shape blends col where distance is negative, with an edge one pixel wide.
func (c *canvas) shape(x0, y0, x1, y1 float64, col colour, alpha float64, distance func(x, y float64) float64) {
	for y := max(0, int(y0)-1); y < min(height, int(y1)+2); y++ {
		for x := max(0, int(x0)-1); x < min(width, int(x1)+2); x++ {
			c.blend(x, y, col, alpha*min(max(0.5-distance(float64(x)+0.5, float64(y)+0.5), 0), 1))
		}
	}
}

func (c *canvas) line(ax, ay, bx, by, w float64, col colour, alpha float64) {
	r := w / 2
	dx, dy := bx-ax, by-ay
	long := dx*dx + dy*dy
	c.shape(min(ax, bx)-r, min(ay, by)-r, max(ax, bx)+r, max(ay, by)+r, col, alpha, func(x, y float64) float64 {
		t := 0.0
		if long > 0 {
			t = min(max(((x-ax)*dx+(y-ay)*dy)/long, 0), 1)
		}
		return math.Hypot(x-ax-t*dx, y-ay-t*dy) - r
	})
}

func (c *canvas) ring(cx, cy, radius, w float64, col colour, alpha float64) {
	r := radius + w
	c.shape(cx-r, cy-r, cx+r, cy+r, col, alpha, func(x, y float64) float64 {
		return math.Abs(math.Hypot(x-cx, y-cy)-radius) - w/2
	})
}

func (c *canvas) disc(cx, cy, r float64, col colour, alpha float64) {
	c.shape(cx-r, cy-r, cx+r, cy+r, col, alpha, func(x, y float64) float64 { return math.Hypot(x-cx, y-cy) - r })
}

func (c *canvas) box(x0, y0, x1, y1, round float64, col colour, alpha float64) {
	mx, my, hx, hy := (x0+x1)/2, (y0+y1)/2, (x1-x0)/2-round, (y1-y0)/2-round
	c.shape(x0, y0, x1, y1, col, alpha, func(x, y float64) float64 {
		dx, dy := math.Abs(x-mx)-hx, math.Abs(y-my)-hy
		return math.Hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - round
	})
}

// glyphs are strokes on a grid of 4 wide and 6 high, y downwards: pairs of x and y, -1 lifts the pen.
var glyphs = map[rune][]float64{
	'S': {4, 1, 3.2, 0.2, 2, 0, 0.8, 0.2, 0, 1.4, 0.6, 2.6, 2, 3, 3.4, 3.4, 4, 4.6, 3.2, 5.8, 2, 6, 0.8, 5.8, 0, 5},
	'I': {2, 0, 2, 6},
	'A': {0, 6, 2, 0, 4, 6, -1, 0, 0.75, 4, 3.25, 4},
	'R': {0, 6, 0, 0, 2.4, 0, 3.5, 0.4, 3.9, 1.6, 3.5, 2.8, 2.4, 3.2, 0, 3.2, -1, 0, 2.2, 3.2, 4, 6},
	'N': {0, 6, 0, 0, 4, 6, 4, 0},
	'L': {0, 0, 0, 6, 3.6, 6},
	'G': {4, 1.1, 3.2, 0.2, 2, 0, 0.7, 0.6, 0, 2, 0, 4, 0.7, 5.4, 2, 6, 3.3, 5.6, 4, 4.6, 4, 3.3, 2.4, 3.3},
	'U': {0, 0, 0, 4.2, 0.6, 5.5, 2, 6, 3.4, 5.5, 4, 4.2, 4, 0},
	'V': {0, 0, 2, 6, 4, 0},
	'E': {3.8, 0, 0, 0, 0, 6, 3.8, 6, -1, 0, 0, 3, 3.2, 3},
	'0': {2, 0, 0.7, 0.6, 0, 2, 0, 4, 0.7, 5.4, 2, 6, 3.3, 5.4, 4, 4, 4, 2, 3.3, 0.6, 2, 0},
	'1': {0.8, 1.2, 2.2, 0, 2.2, 6},
	'2': {0, 1.4, 0.7, 0.3, 2, 0, 3.3, 0.3, 4, 1.6, 3.4, 2.9, 0, 6, 4, 6},
	'3': {
		0.1, 1, 0.9, 0.2, 2, 0, 3.3, 0.4, 3.7, 1.5, 3.2, 2.6, 1.8, 2.9, -1,
		0, 1.8, 2.9, 3.4, 3.3, 4, 4.5, 3.3, 5.7, 2, 6, 0.7, 5.7, 0, 4.9,
	},
	'4': {3, 6, 3, 0, 0, 4.2, 4, 4.2},
	'5': {3.7, 0, 0.5, 0, 0.2, 2.7, 2, 2.3, 3.4, 2.8, 4, 4.1, 3.4, 5.5, 2, 6, 0.7, 5.7, 0, 4.9},
	'6': {
		3.5, 0.6, 2.3, 0, 0.9, 0.8, 0.1, 2.6, 0, 4.2, 0.7, 5.6, 2, 6,
		3.3, 5.6, 4, 4.2, 3.3, 2.9, 2, 2.5, 0.7, 2.9, 0, 4,
	},
	'7': {0, 0, 4, 0, 1.4, 6},
	'8': {
		2, 2.8, 0.8, 2.4, 0.3, 1.4, 0.9, 0.3, 2, 0, 3.1, 0.3, 3.7, 1.4, 3.2, 2.4, 2, 2.8,
		0.6, 3.3, 0, 4.4, 0.6, 5.6, 2, 6, 3.4, 5.6, 4, 4.4, 3.4, 3.3, 2, 2.8,
	},
	'9': {
		0.5, 5.4, 1.7, 6, 3.1, 5.2, 3.9, 3.4, 4, 1.8, 3.3, 0.4, 2, 0,
		0.7, 0.4, 0, 1.8, 0.7, 3.1, 2, 3.5, 3.3, 3.1, 4, 2,
	},
	':': {2, 1.8, 2, 1.8, -1, 0, 2, 4.4, 2, 4.4},
}

// text writes s with its upper left corner at x, y and letters of size high.
func (c *canvas) text(s string, x, y, size, w, gap float64, col func(x float64) colour) {
	u := size / 6
	for _, r := range s {
		advance := 4.0
		if r == 'I' || r == ':' { // narrow: their strokes stand at 2
			x, advance = x-2*u, 2
		}
		for _, stroke := range strokes(glyphs[r]) {
			for i := range len(stroke) - 1 {
				p, q := stroke[i], stroke[i+1]
				c.line(x+p[0]*u, y+p[1]*u, x+q[0]*u, y+q[1]*u, w, col(x+q[0]*u), 1)
			}
		}
		x += (advance + gap) * u
	}
}

type point [2]float64

// strokes are the lines of a glyph, with its gentle bends made round and its corners left sharp.
func strokes(g []float64) [][]point {
	var all [][]point
	var pen []point
	for i := 0; i+1 < len(g); i += 2 {
		if g[i] < 0 {
			all, pen = append(all, round(pen)), nil
			continue
		}
		pen = append(pen, point{g[i], g[i+1]})
	}
	return append(all, round(pen))
}

func round(p []point) []point {
	if len(p) < 3 {
		return p
	}
	slope := make([]point, len(p)) // zero at corners and ends
	last := len(p) - 1
	for i := range p {
		before, after := max(i-1, 0), min(i+1, last)
		if p[0] == p[last] && (i == 0 || i == last) {
			before, after = last-1, 1
		}
		a := math.Atan2(p[i][1]-p[before][1], p[i][0]-p[before][0])
		b := math.Atan2(p[after][1]-p[i][1], p[after][0]-p[i][0])
		if before != i && after != i && math.Abs(math.Remainder(b-a, 2*math.Pi)) < 1.15 {
			slope[i] = point{(p[after][0] - p[before][0]) / 2, (p[after][1] - p[before][1]) / 2}
		}
	}
	out := []point{p[0]}
	for i := range last {
		const steps = 8
		for k := 1; k <= steps; k++ {
			t := float64(k) / steps
			h0, h1 := (1+2*t)*(1-t)*(1-t), t*t*(3-2*t)
			d0, d1 := t*(1-t)*(1-t), t*t*(t-1)
			var q point
			for j := range q {
				q[j] = h0*p[i][j] + h1*p[i+1][j] + d0*slope[i][j] + d1*slope[i+1][j]
			}
			out = append(out, q)
		}
	}
	return out
}

func flat(col colour) func(float64) colour { return func(float64) colour { return col } }

func draw(c *canvas, n int) {
	t := float64(n) / fps
	turn := t / seconds
	beat := t - math.Floor(t)

	for y := range height { // the sky: a gradient with a glow that wanders
		for x := range width {
			g := mix(night, dusk, float64(y)/height)
			gx, gy := 640+70*math.Cos(2*math.Pi*turn), 120+30*math.Sin(2*math.Pi*turn)
			d := math.Hypot((float64(x)-gx)/1.6, float64(y)-gy)
			g = mix(g, hex(0x3b2a78), 0.55*math.Exp(-d*d/38000))
			copy(c.pix[(y*width+x)*3:], g[:])
		}
	}

	const cx, cy, radius = 212.0, 205.0, 128.0
	c.ring(cx, cy, radius, 14, dim, 0.55)
	c.ring(cx, cy, radius+10+26*beat, 3, teal, 0.55*math.Exp(-beat*5)) // the flash of each second
	// The arc that fills, as many short pieces so that its colour can change.
	for i := range 360 {
		a := float64(i) / 360
		if a > turn {
			break
		}
		x, y := cx+radius*math.Sin(2*math.Pi*a), cy-radius*math.Cos(2*math.Pi*a)
		c.disc(x, y, 7, mix(mix(teal, amber, a*2), coral, a*2-1), 1)
	}
	for i := range seconds {
		a := 2 * math.Pi * float64(i) / seconds
		long, col := 12.0, dim
		if float64(i) <= t {
			col = white
		}
		if i == 0 {
			long = 18
		}
		c.line(cx+(radius-18)*math.Sin(a), cy-(radius-18)*math.Cos(a),
			cx+(radius-18-long)*math.Sin(a), cy-(radius-18-long)*math.Cos(a), 4, col, 0.9)
	}
	sx, sy := math.Sin(2*math.Pi*turn), -math.Cos(2*math.Pi*turn)
	c.line(cx+62*sx, cy+62*sy, cx+radius*sx, cy+radius*sy, 5, white, 1)
	c.disc(cx+radius*sx, cy+radius*sy, 12, white, 1)
	c.disc(cx+radius*sx, cy+radius*sy, 6, coral, 1)
	c.text(string(rune('0'+int(t))), cx-28, cy-42, 84, 11, 1, flat(white))

	along := func(x float64) colour { return mix(white, teal, (x-400)/420) }
	c.text("SIARAN", 413, 124, 84, 12, 1.6, along)
	c.text("LANGSUNG", 413, 236, 22, 3.6, 2.6, flat(mix(white, dim, 0.25)))

	blink := 0.5 + 0.5*math.Cos(2*math.Pi*t)
	c.box(408, 284, 500, 320, 18, coral, 1)
	c.disc(427, 302, 5.5, white, 0.35+0.65*blink)
	c.text("LIVE", 442, 294, 16, 3, 1.7, flat(white))
	c.text(two(int(t))+":"+two(n%fps), 526, 292, 20, 3.2, 1.6, flat(amber))

	for i := range 4 { // waves that leave a transmitter
		phase := math.Mod(t/2+float64(i)/4, 1)
		r := 8 + 44*phase
		c.shape(770-60, 302-60, 770+60, 302+60, teal, 0.9*(1-phase), func(x, y float64) float64 {
			dx, dy := x-770, y-302
			d := math.Abs(math.Hypot(dx, dy)-r) - 2
			return max(d, (math.Abs(dy)-math.Abs(dx)*0.9)*0.7)
		})
	}
	c.disc(770, 302, 7, white, 1)

	const bars = 40
	for i := range bars { // a band that dances
		f := float64(i)
		h := 10 + 34*math.Abs(math.Sin(2*math.Pi*(turn*2+f/bars)))*(0.6+0.4*math.Sin(2*math.Pi*(turn*5+f*3/bars)))
		h += 16 * math.Exp(-beat*5) * math.Exp(-math.Pow((f-float64(int(t))*4-2)/2.5, 2))
		x := 47 + f*19.5
		c.box(x, 446-h, x+12, 446, 5, mix(mix(teal, amber, f/bars*2), coral, f/bars*2-1), 0.9)
	}
}

func two(n int) string { return string([]rune{rune('0' + n/10), rune('0' + n%10)}) }
