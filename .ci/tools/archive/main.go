// Command archive packs a folder into a .tar.gz or .zip whose bytes depend on nothing but the files, their names and
// the time that is given: archive OUT FOLDER UNIX-TIME. The folder's own name comes first in all names.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := pack(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

// archive takes files, with 0755 or 0644 as their mode.
type archive interface {
	add(name string, mode fs.FileMode, content []byte) error
	Close() error
}

func pack(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: archive OUT FOLDER UNIX-TIME")
	}
	seconds, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	file, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	at := time.Unix(seconds, 0).UTC()
	var out archive = newTar(file, at)
	if strings.HasSuffix(args[0], ".zip") {
		out = zipped{zip.NewWriter(file), at}
	}
	if err := addAll(out, filepath.Clean(args[1])); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return file.Close()
}

// addAll adds the files of a folder in the order of their names.
func addAll(out archive, folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(filepath.Dir(folder), path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return out.add(filepath.ToSlash(name), mode, content)
	})
}

type tarred struct {
	*tar.Writer
	gzip *gzip.Writer
	at   time.Time
}

func newTar(w io.Writer, at time.Time) tarred {
	compressed, _ := gzip.NewWriterLevel(w, gzip.BestCompression) // the level is valid
	return tarred{tar.NewWriter(compressed), compressed, at}
}

func (t tarred) add(name string, mode fs.FileMode, content []byte) error {
	header := &tar.Header{Name: name, Mode: int64(mode), Size: int64(len(content)), ModTime: t.at, Format: tar.FormatUSTAR}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func (t tarred) Close() error {
	if err := t.Writer.Close(); err != nil {
		return err
	}
	return t.gzip.Close()
}

type zipped struct {
	*zip.Writer
	at time.Time
}

func (z zipped) add(name string, mode fs.FileMode, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: z.at}
	header.SetMode(mode)
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
