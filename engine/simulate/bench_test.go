package simulate

import "testing"

// BenchmarkOpening plays one opening of each of the 36 scenarios under one policy.
func BenchmarkOpening(b *testing.B) {
	for _, c := range Contenders() {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				for cell, s := range Standard() {
					if _, err := Play(s, Part{cell, n, n + 1}, []Contender{c}, 1); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
