package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// The database trusts its pages: a pointer that leads back to a page above makes it run in circles until
// the process ends, and one of its checks panics in a goroutine of its own. So the tree is walked here
// first, over the bytes of the file: at each start the pages that point to others, for a check all of them.

// The layout of the database's pages. Numbers are in the order of the machine that wrote them.
const (
	pageHead    = 16 // id, flags, count, overflow
	metaLen     = 64
	elementLen  = 16
	branchPage  = 0x01
	leafPage    = 0x02
	bucketEntry = 0x01
	bucketHead  = 16
	metaMagic   = 0xED0CDAED
	mostDeep    = 32 // levels; a tree of all pages that there can be has fewer
)

// tree is a walk over the pages of a file.
type tree struct {
	file io.ReaderAt
	page int64  // bytes
	high uint64 // pages from here on do not exist
	seen map[uint64]bool
	deep bool
}

// walkPages follows every pointer from the newest root. With deep it reads leaves as well.
func walkPages(file io.ReaderAt, pageSize int, deep bool) error {
	t := &tree{file: file, page: int64(pageSize), seen: map[uint64]bool{}, deep: deep}
	root, err := t.newest()
	if err != nil {
		return err
	}
	_, p, err := t.read(root, 0)
	if err != nil {
		return err
	}
	return t.leaf(root, p, true)
}

func damagedPage(id uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, id, what)
}

// newest finds the page of the newest root that is whole.
func (t *tree) newest() (root uint64, err error) {
	var txid uint64
	found := false
	for i := range int64(2) {
		b := make([]byte, pageHead+metaLen)
		if _, err := t.file.ReadAt(b, i*t.page); err != nil {
			continue
		}
		m := b[pageHead:]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:metaLen-8])
		if binary.NativeEndian.Uint32(m) != metaMagic || binary.NativeEndian.Uint64(m[metaLen-8:]) != sum.Sum64() {
			continue
		}
		if id := binary.NativeEndian.Uint64(m[48:]); !found || id > txid {
			found, txid = true, id
			root, t.high = binary.NativeEndian.Uint64(m[16:]), binary.NativeEndian.Uint64(m[40:])
		}
	}
	if !found {
		return 0, fmt.Errorf("%w: neither root can be read", ErrDamaged)
	}
	return root, nil
}

// read reads a page with its overflow, once.
func (t *tree) read(id uint64, depth int) (flags uint16, p []byte, err error) {
	if id < 2 || id >= t.high || t.seen[id] || depth > mostDeep {
		return 0, nil, damagedPage(id, "is pointed to and should not be")
	}
	p = make([]byte, t.page)
	if _, err := t.file.ReadAt(p, int64(id)*t.page); err != nil { //nolint:gosec // below high
		return 0, nil, damagedPage(id, "cannot be read")
	}
	flags = binary.NativeEndian.Uint16(p[8:])
	over := uint64(binary.NativeEndian.Uint32(p[12:]))
	if binary.NativeEndian.Uint64(p) != id || (flags != branchPage && flags != leafPage) || over >= t.high-id {
		return 0, nil, damagedPage(id, "is not a page of the tree")
	}
	for i := range over + 1 {
		if t.seen[id+i] {
			return 0, nil, damagedPage(id, "lies over another page")
		}
		t.seen[id+i] = true
	}
	if over > 0 {
		p = append(p, make([]byte, int64(over)*t.page)...)            //nolint:gosec // below high
		if _, err := t.file.ReadAt(p, int64(id)*t.page); err != nil { //nolint:gosec // below high
			return 0, nil, damagedPage(id, "cannot be read")
		}
	}
	return flags, p, nil
}

// follow walks the tree below a page. level is how far below there are leaves, when that is known: all
// leaves of a tree lie equally deep, so that the last pointers need not be followed.
func (t *tree) follow(id uint64, depth int) (levels int, err error) {
	flags, p, err := t.read(id, depth)
	if err != nil {
		return 0, err
	}
	if flags == leafPage {
		return 0, t.leaf(id, p, false)
	}
	children, err := branch(id, p)
	if err != nil {
		return 0, err
	}
	for i, child := range children {
		if i > 0 && levels == 0 && !t.deep {
			if child < 2 || child >= t.high || t.seen[child] {
				return 0, damagedPage(child, "is pointed to and should not be")
			}
			t.seen[child] = true
			continue
		}
		below, err := t.follow(child, depth+1)
		if err != nil {
			return 0, err
		}
		if i > 0 && below != levels {
			return 0, damagedPage(child, "lies at the wrong depth")
		}
		levels = below
	}
	return levels + 1, nil
}

// branch returns the pages that a page points to.
func branch(id uint64, p []byte) ([]uint64, error) {
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if count == 0 || pageHead+count*elementLen > len(p) {
		return nil, damagedPage(id, "has a wrong count")
	}
	children := make([]uint64, count)
	var last []byte
	for i := range count {
		at := pageHead + i*elementLen
		pos, size := uint64(binary.NativeEndian.Uint32(p[at:])), uint64(binary.NativeEndian.Uint32(p[at+4:]))
		key, ok := within(p, at, pos, size)
		if !ok || (i > 0 && bytes.Compare(last, key) >= 0) {
			return nil, damagedPage(id, "has a key out of place")
		}
		last, children[i] = key, binary.NativeEndian.Uint64(p[at+8:])
	}
	return children, nil
}

func within(p []byte, at int, pos, size uint64) ([]byte, bool) {
	from := uint64(at) + pos //nolint:gosec // an index
	if from > uint64(len(p)) || size > uint64(len(p))-from {
		return nil, false
	}
	return p[from : from+size], true
}

// leaf looks at the elements of a leaf, and walks the buckets among them.
func (t *tree) leaf(id uint64, p []byte, buckets bool) error {
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if binary.NativeEndian.Uint16(p[8:]) != leafPage || pageHead+count*elementLen > len(p) {
		return damagedPage(id, "is not the leaf that it should be")
	}
	var last []byte
	for i := range count {
		at := pageHead + i*elementLen
		flags, pos := binary.NativeEndian.Uint32(p[at:]), uint64(binary.NativeEndian.Uint32(p[at+4:]))
		size, value := uint64(binary.NativeEndian.Uint32(p[at+8:])), uint64(binary.NativeEndian.Uint32(p[at+12:]))
		both, ok := within(p, at, pos, size+value)
		if !ok || (i > 0 && bytes.Compare(last, both[:size]) >= 0) || (flags&bucketEntry != 0) != buckets {
			return damagedPage(id, "has a key out of place")
		}
		last = both[:size]
		if !buckets {
			continue
		}
		if value < bucketHead {
			return damagedPage(id, "has a bucket that is cut short")
		}
		v := both[size:]
		if root := binary.NativeEndian.Uint64(v); root != 0 {
			if _, err := t.follow(root, 1); err != nil {
				return err
			}
		} else if len(v) < bucketHead+pageHead {
			return damagedPage(id, "has a bucket that is cut short")
		} else if err := t.leaf(id, v[bucketHead:], false); err != nil { // a small bucket lies in its parent
			return err
		}
	}
	return nil
}
