package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	qrcode "github.com/skip2/go-qrcode"
)

// qrSVG draws a QR code of an address, black on white whatever the page looks like: cameras want that.
func qrSVG(address, label string) (string, error) {
	code, err := qrcode.New(address, qrcode.Medium)
	if err != nil {
		return "", fmt.Errorf("draw the code: %w", err)
	}
	rows := code.Bitmap()
	var path strings.Builder
	for y, row := range rows {
		for x := 0; x < len(row); x++ {
			from := x
			for x < len(row) && row[x] {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		len(rows), len(rows), template.HTMLEscapeString(label), len(rows), len(rows), path.String()), nil
}

// joinAddressOf is where people join a clinic.
func (s *Server) joinAddressOf(clinic string) string {
	return strings.TrimRight(s.cfg.PublicBase.String(), "/") + "/j/" + clinic
}

func (s *Server) showQR(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok {
		return
	}
	svg, err := qrSVG(s.joinAddressOf(string(d.Clinic)), "QR")
	if err != nil {
		s.later(w, s.problem(ctx, err).Status)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write([]byte(svg))
}

// showPoster is a sheet to print for the waiting room.
func (s *Server) showPoster(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok {
		return
	}
	words := tapped(r, d.Lang)
	if !d.Open {
		s.closed(w, d, words)
		return
	}
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(d, words, "/j/"+string(d.Clinic)+"/poster", dw.PosterTitle, dw.PosterText)
	p.Address = s.joinAddressOf(string(d.Clinic))
	svg, err := qrSVG(p.Address, p.Address)
	if err != nil {
		s.later(w, s.problem(ctx, err).Status)
		return
	}
	p.QR = template.HTML(svg) //nolint:gosec // drawn by us
	s.doorSend(w, http.StatusOK, "poster", p)
}
