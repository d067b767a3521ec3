// Package postal says where a Canadian postal code is, as exactly as a waitlist needs: the middle of
// its first three characters, the forward sortation area.
//
// The positions are those of GeoNames (geonames.org, export/zip, Creative Commons Attribution 4.0).
// In a city an area is one or two kilometres wide; a rural one (a 0 in the second place) can be a
// hundred, so distances from there are rough.
package postal

import (
	_ "embed"
	"sort"
	"strconv"
	"strings"

	"relais/engine"
)

// areas has a line of equal length for each area, in order.
//
//go:embed canada.txt
var areas string

const (
	lineLen = len("H2X 45.5148 -073.5739\n")
	codeLen = len("H2X")
)

// Locate returns the position of a postal code, or of its first three characters alone. Case,
// spaces and hyphens do not matter. ok is false for what is not a Canadian code.
func Locate(code string) (p engine.Point, ok bool) {
	code = strings.ToUpper(strings.NewReplacer(" ", "", "\u00a0", "", "-", "").Replace(code))
	if !valid(code) {
		return engine.Point{}, false
	}
	n := len(areas) / lineLen
	i := sort.Search(n, func(i int) bool { return areas[i*lineLen:i*lineLen+codeLen] >= code[:codeLen] })
	if i == n || areas[i*lineLen:i*lineLen+codeLen] != code[:codeLen] {
		return engine.Point{}, false
	}
	fields := strings.Fields(areas[i*lineLen : (i+1)*lineLen])
	lat, err1 := strconv.ParseFloat(fields[1], 64)
	lon, err2 := strconv.ParseFloat(fields[2], 64)
	return engine.Point{Lat: lat, Lon: lon}, err1 == nil && err2 == nil
}

// valid reports whether code has the form A1A or A1A1A1.
func valid(code string) bool {
	if len(code) != codeLen && len(code) != 2*codeLen {
		return false
	}
	for i := range len(code) {
		letter := code[i] >= 'A' && code[i] <= 'Z'
		digit := code[i] >= '0' && code[i] <= '9'
		if (i%2 == 0 && !letter) || (i%2 == 1 && !digit) {
			return false
		}
	}
	return true
}
