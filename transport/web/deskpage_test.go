package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func pageRequest(t *testing.T, p *deskPage, sandbox bool, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	p.handler(sandbox).ServeHTTP(w, r)
	return w
}

func builtPage(t *testing.T) *deskPage {
	t.Helper()
	p, err := loadPage(fstest.MapFS{
		"dist/.gitkeep":             {},
		"dist/index.html":           {Data: []byte("<!doctype html>" + strings.Repeat(" page", 100))},
		"dist/assets/index-ab12.js": {Data: []byte(strings.Repeat("let a;", 100))},
		"dist/assets/tiny-cd34.css": {Data: []byte("a{}")},
		"dist/icon.svg":             {Data: []byte("<svg/>")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDeskPage(t *testing.T) {
	p := builtPage(t)
	for _, c := range []struct {
		path, kind, cache string
		status            int
	}{
		{"/", "text/html", "no-cache", 200},
		{"/login", "text/html", "no-cache", 200},
		{"/demo", "text/html", "no-cache", 200},
		{"/assets/index-ab12.js", "text/javascript", "public, max-age=31536000, immutable", 200},
		{"/assets/tiny-cd34.css", "text/css", "public, max-age=31536000, immutable", 200},
		{"/icon.svg", "image/svg+xml", "no-cache", 200},
		{"/assets/missing.js", "text/plain", "no-store", 404},
		{"/.gitkeep", "text/plain", "no-store", 404},
		{"/assets/", "text/plain", "no-store", 404},
	} {
		w := pageRequest(t, p, true, c.path)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), c.kind) || w.Header().Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %v", c.path, w.Code, w.Header())
		}
		if html := c.kind == "text/html"; html && !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self';") {
			t.Errorf("%s: %s", c.path, w.Header().Get("Content-Security-Policy"))
		}
	}
	if w := pageRequest(t, p, false, "/demo"); w.Code != 404 {
		t.Errorf("/demo outside the sandbox: %d", w.Code)
	}
	if csp := pageRequest(t, p, true, "/").Header().Get("Content-Security-Policy"); strings.Contains(csp, "style-src 'self' 'unsafe-inline'") || strings.Contains(csp, "script-src 'self' '") {
		t.Error(csp)
	}
}

func TestDeskPageIsPackedAndCached(t *testing.T) {
	p := builtPage(t)
	plain := pageRequest(t, p, false, "/assets/index-ab12.js")
	packed := pageRequest(t, p, false, "/assets/index-ab12.js", "Accept-Encoding", "br, gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() || packed.Header().Get("ETag") == plain.Header().Get("ETag") {
		t.Errorf("%v", packed.Header())
	}
	z, err := gzip.NewReader(bytes.NewReader(packed.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != plain.Body.String() {
		t.Error("the packed file is another one", err)
	}
	for _, refuse := range []string{"", "br", "gzip;q=0", "gzip; q=0.0"} {
		if w := pageRequest(t, p, false, "/assets/index-ab12.js", "Accept-Encoding", refuse); w.Header().Get("Content-Encoding") != "" {
			t.Errorf("%q got gzip", refuse)
		}
	}
	w := pageRequest(t, p, false, "/", "If-None-Match", pageRequest(t, p, false, "/").Header().Get("ETag"))
	if w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestDeskPageThatWasNotBuilt(t *testing.T) {
	p, err := loadPage(fstest.MapFS{"dist/.gitkeep": {}})
	if err != nil {
		t.Fatal(err)
	}
	if w := pageRequest(t, p, true, "/"); w.Code != 503 || !strings.Contains(w.Body.String(), "make ui") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := pageRequest(t, p, true, "/assets/x.js"); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
}

func TestEveryPageOfTheTableIsServed(t *testing.T) {
	table, err := os.ReadFile("ui/src/pages.ts")
	if err != nil {
		t.Fatal(err)
	}
	p := builtPage(t)
	for _, m := range regexp.MustCompile(`path: '([^']*)'`).FindAllSubmatch(table, -1) {
		if w := pageRequest(t, p, false, string(m[1])); w.Code != http.StatusOK {
			t.Errorf("%s is in pages.ts; add it to pages in deskpage.go", m[1])
		}
	}
}
