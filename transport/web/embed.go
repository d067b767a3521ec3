package web

import "embed"

// embedded is the built front-desk page. A checkout holds only .gitkeep there; "make ui" fills it.
//
//go:embed all:dist
var embedded embed.FS
