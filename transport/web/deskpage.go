package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// deskPolicy lets the page use its own files and talk to its own server, nothing else. Positions in
// the grid are style attributes; style elements stay forbidden.
const deskPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; " +
	"frame-ancestors 'none'"

// demoPolicy also lets frames made by the demo page show mails, which bring their own style.
const demoPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; frame-src 'self'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'"

// asset is one file of the page, ready to send.
type asset struct {
	contentType string
	tag         string
	body        []byte
	packed      []byte // gzip, nil when that is no shorter
	forever     bool   // its name holds a hash of its content
}

// deskPage is the front desk's page: a few files held in memory.
type deskPage struct {
	index  *asset // nil when the page was not built
	assets map[string]*asset
}

func loadPage(dist fs.FS) (*deskPage, error) {
	p := &deskPage{assets: make(map[string]*asset)}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == ".gitkeep" {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		a, err := newAsset(strings.TrimPrefix(name, "dist"), body)
		if err != nil {
			return err
		}
		p.assets[strings.TrimPrefix(name, "dist")] = a
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("front-desk page: %w", err)
	}
	p.index = p.assets["/index.html"]
	return p, nil
}

func newAsset(name string, body []byte) (*asset, error) {
	sum := sha256.Sum256(body)
	a := &asset{
		contentType: mime.TypeByExtension(path.Ext(name)), tag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		body: body, forever: strings.HasPrefix(name, "/assets/"),
	}
	// The operating system's table may know less than browsers need.
	switch path.Ext(name) {
	case ".js":
		a.contentType = "text/javascript; charset=utf-8"
	case ".webmanifest":
		a.contentType = "application/manifest+json"
	case ".woff2":
		a.contentType = "font/woff2"
	}
	if a.contentType == "" {
		a.contentType = "application/octet-stream"
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(body) {
		a.packed = b.Bytes()
	}
	return a, nil
}

// pages are the addresses that the page shows by itself; those after the first line are in ui/src/pages.ts.
var pages = map[string]bool{
	"/": true, "/login": true, "/demo": true, "/index.html": true, "/invite": true,
	"/insights": true, "/users": true, "/audit": true, "/account": true,
}

func (p *deskPage) handler(sandbox bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			plain(w, http.StatusMethodNotAllowed, "This page can only be read.")
			return
		}
		name := r.URL.Path
		if name == "/demo" && !sandbox {
			plain(w, http.StatusNotFound, "There is no such page.")
			return
		}
		if pages[name] {
			if p.index == nil {
				plain(w, http.StatusServiceUnavailable,
					"The front-desk page is not part of this program. Build it with: make ui\nThen build the program again: make build")
				return
			}
			policy := deskPolicy
			if name == "/demo" {
				policy = demoPolicy
			}
			w.Header().Set("Content-Security-Policy", policy)
			p.index.serve(w, r)
			return
		}
		a, ok := p.assets[name]
		if !ok {
			plain(w, http.StatusNotFound, "There is no such page.")
			return
		}
		a.serve(w, r)
	})
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if a.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, tag := a.body, a.tag
	if a.packed != nil && takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body, tag = a.packed, strings.TrimSuffix(a.tag, `"`)+`-gz"`
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// takesGzip reads Accept-Encoding; "gzip;q=0" refuses it.
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(q, " ", ""), "q="), 64)
			return q == "" || err != nil || weight > 0
		}
	}
	return false
}
