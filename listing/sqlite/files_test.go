package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siaran"
	"siaran/listing/internal/live"
)

// TestOpenRefuses opens files that must not be changed, and checks what the error says.
func TestOpenRefuses(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	l := open(t, whole)
	title := strings.Repeat("title ", 1000)
	for i := range 20 {
		name := siaran.StreamName(fmt.Sprint("s", i))
		if _, err := l.Edit(t.Context(), name, siaran.StreamEdit{Title: &title}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	altered := func(statement string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			write(t, path, good)
			execute(t, path, statement)
		}
	}
	content := func(b []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, b) }
	}
	torn := bytes.Clone(good)
	copy(torn[len(torn)/2:], bytes.Repeat([]byte{0xee}, 8192))
	headless := bytes.Clone(good)
	copy(headless[100:], bytes.Repeat([]byte{0xee}, 2000))

	for name, c := range map[string]struct {
		make func(*testing.T, string)
		want string
	}{
		"one byte":           {content([]byte("S")), "not a database of siaran"},
		"text":               {content([]byte("listen: :8080\nthis is the wrong file\n")), "not a database of siaran"},
		"zeros":              {content(make([]byte, 65536)), "not a database of siaran"},
		"half a header":      {content(good[:8]), "not a database of siaran"},
		"a header alone":     {content(good[:16]), "damaged"},
		"cut in the middle":  {content(good[:len(good)/2]), "damaged"},
		"cut in a page":      {content(good[:len(good)-1000]), "damaged"},
		"a torn page":        {content(torn), "damaged"},
		"a broken schema":    {content(headless), "damaged"},
		"of a newer version": {altered(`PRAGMA user_version = 9999`), "newer version"},
		"of another program": {altered(`PRAGMA application_id = 1`), "not a database of siaran"},
		"tables of others": {
			func(t *testing.T, path string) { execute(t, path, `CREATE TABLE users (id)`) },
			"not a database of siaran",
		},
		"versioned by another": {
			func(t *testing.T, path string) { execute(t, path, `PRAGMA user_version = 3`) },
			"not a database of siaran",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "listing.db")
			c.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the error stays the same
				l, err := Open(t.Context(), path)
				if err == nil {
					l.Close()
					t.Fatal("opened")
				}
				if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("got %q, want the path and %q", err, c.want)
				}
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file has been changed")
			}
		})
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestOpenWithoutRights(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	for name, c := range map[string]struct{ path, want string }{
		"no folder":          {filepath.Join(dir, "missing", "listing.db"), "folder must exist"},
		"a file as a folder": {filepath.Join(file, "listing.db"), "folder must exist"},
		"a folder":           {dir, "allowed to read and write"},
		"not writable":       {"/proc/listing.db", "allowed to read and write"}, // not even for root
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), c.path)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("got %q, want the path and %q", err, c.want)
			}
		})
	}
}

func TestOpenNew(t *testing.T) {
	for _, name := range []string{"listing.db", "a b?c#d%20e&f.db", "ä;'\".db", "file:x.db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			if name == "listing.db" {
				write(t, path, nil) // an empty file is as good as none
			}
			l := open(t, path)
			if _, err := l.RotateKeys(t.Context(), "cats"); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if name != "listing.db" && info.Mode().Perm() != 0o600 {
				t.Errorf("the file's mode is %v", info.Mode())
			}
			if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
				t.Errorf("the folder holds %v", files)
			}
			l = open(t, path)
			if s, err := l.Stream(t.Context(), "cats"); err != nil || s.KeyGeneration != 1 {
				t.Errorf("after opening again: %+v, %v", s, err)
			}
		})
	}
}

// TestOpenTogether opens a new file many times at once: one of them makes the schema.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listing.db")
	opened := make(chan error)
	const n = 6
	for range n {
		go func() {
			l, err := Open(t.Context(), path)
			if err == nil {
				_, err = l.RotateKeys(t.Context(), "cats")
				err = errors.Join(err, l.Close())
			}
			opened <- err
		}()
	}
	for range n {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	if s, err := open(t, path).Stream(t.Context(), "cats"); err != nil || s.KeyGeneration != n {
		t.Errorf("got %+v, %v, want generation %d", s, err, n)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listing.db")
	l := open(t, path)
	ended := func(i int) siaran.Change {
		return siaran.Change{State: siaran.BroadcastState{
			ID: siaran.BroadcastID(fmt.Sprint(i)), Stream: "cats", Status: siaran.StatusOffline,
			StartedAt: live.FromMicros(int64(i) + 1), EndedAt: live.FromMicros(int64(i) + 2), EndReason: siaran.EndStopped,
		}}
	}
	if err := l.Apply(t.Context(), siaran.Update{Node: "n", Changes: []siaran.Change{ended(0)}}); err != nil {
		t.Fatal(err)
	}
	execute(t, path, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO broadcasts SELECT i, stream, node, owner, status, i + 1, i + 2, end_reason, media, viewers,
			peak_viewers, total_viewers, updated_at FROM n, broadcasts WHERE id = '0'`, maxHistory+39))
	var u siaran.Update
	for i := range 10 {
		u.Changes = append(u.Changes, ended(maxHistory+40+i))
	}
	if err := l.Apply(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	var kept int
	var oldest int64
	if err := l.reader.QueryRow(`SELECT count(*), min(started_at) FROM broadcasts`).Scan(&kept, &oldest); err != nil {
		t.Fatal(err)
	}
	if kept != maxHistory || oldest != 51 {
		t.Errorf("kept %d broadcasts from %d on, want the newest %d", kept, oldest, maxHistory)
	}
}
