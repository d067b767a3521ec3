package match

import "slices"

// blockSize bounds what one insertion moves: 512 pointers are 4 kB.
const blockSize = 512

// list is a sorted sequence in blocks, so that an insertion into a long list moves little.
type list struct{ blocks [][]*item }

// find returns the block that holds or would hold an item.
func (l *list) find(it *item) int {
	i, _ := slices.BinarySearchFunc(l.blocks, it, func(b []*item, it *item) int { return before(b[len(b)-1], it) })
	return min(i, len(l.blocks)-1)
}

func (l *list) insert(it *item) {
	if len(l.blocks) == 0 {
		l.blocks = [][]*item{{it}}
		return
	}
	i := l.find(it)
	b := l.blocks[i]
	at, _ := slices.BinarySearchFunc(b, it, before)
	b = slices.Insert(b, at, it)
	l.blocks[i] = b
	if len(b) > blockSize {
		half := len(b) / 2
		l.blocks = slices.Insert(l.blocks, i+1, slices.Clone(b[half:]))
		clear(b[half:])
		l.blocks[i] = b[:half]
	}
}

// remove takes an item that is in the list out, and reports whether the list is empty now.
func (l *list) remove(it *item) (empty bool) {
	i := l.find(it)
	at, _ := slices.BinarySearchFunc(l.blocks[i], it, before)
	l.blocks[i] = slices.Delete(l.blocks[i], at, at+1)
	if len(l.blocks[i]) == 0 {
		l.blocks = slices.Delete(l.blocks, i, i+1)
	}
	return len(l.blocks) == 0
}
