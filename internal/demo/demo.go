// Package demo is the clip that is built into the command: ten seconds of a moving test
// picture (VP8, 854x480, 25 frames a second, a key frame every two seconds) and a quiet
// tone (Opus, 32 kbit/s), which loop without a seam. A pluck sounds at each full second, when the
// dial flashes, so that lips can be judged by eye and ear.
//
// The clip is made by make.go out of arithmetic alone; it is under the licence of the project.
package demo

import (
	"embed"

	"siaran/internal/clip"
)

//go:embed clip.ivf clip.ogg
var files embed.FS

//go:generate go run make.go

// Clip opens the built-in clip.
func Clip() (*clip.Clip, error) { return clip.OpenFS(files, "clip.ivf", "clip.ogg") }
