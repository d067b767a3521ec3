package app

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// environment is the variables of the process by name. One that is empty is not set.
type environment map[string]string

// decoder fills a Config from a file and the environment. Unlike a library's decoder it goes on
// after a mistake, so that an operator sees all of them at once, and it remembers the line of every
// setting for the checks that follow.
type decoder struct {
	file     string
	example  string // a file to start from
	env      environment
	lines    map[string]int    // setting to line
	origin   map[string]string // setting, its parts joined by _, to the variable it came from
	refs     map[string]bool   // variables that the file refers to
	problems []Problem

	root    string            // what the whole file is a part of
	secrets map[string]string // what the file says of each secret, by setting
	now     string            // the setting at hand
	// unseal opens what was sealed for a setting; nil: nothing is sealed here.
	unseal func(setting, text string) (string, error)
	strict bool            // secrets do not stand in the file
	used   map[string]bool // variables that are settings
}

func newDecoder(file, example string, env environment) *decoder {
	return &decoder{
		file: file, example: example, env: env,
		lines: map[string]int{}, origin: map[string]string{}, refs: map[string]bool{}, secrets: map[string]string{},
	}
}

// Problem is one mistake in a configuration, in a sentence that says what to do.
type Problem struct {
	Where    string // "relais.yaml:12", a variable, or a file
	Setting  string // "clinics[0].zone", or ""
	Sentence string
}

func (p Problem) String() string {
	if p.Setting == "" {
		return p.Where + ": " + p.Sentence
	}
	return p.Where + ": " + p.Setting + " " + p.Sentence
}

func (d *decoder) problem(line int, setting, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.at(line), setting, fmt.Sprintf(format, args...)})
}

func (d *decoder) at(line int) string {
	if line == 0 {
		return d.file
	}
	return d.file + ":" + strconv.Itoa(line)
}

// decode reads text into target, which holds the defaults.
func (d *decoder) decode(text []byte, target any) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			d.problem(y.GetToken().Position.Line, "", "this is not valid YAML: %s.", y.GetMessage())
		} else {
			d.problem(0, "", "this is not valid YAML.")
		}
		return
	}
	docs := slices.DeleteFunc(file.Docs, func(doc *ast.DocumentNode) bool { return doc.Body == nil })
	switch len(docs) {
	case 0:
		d.problem(0, "", "the file is empty; start from %s.", d.example)
	case 1:
		d.value(d.root, docs[0].Body, reflect.ValueOf(target).Elem())
	default:
		d.problem(docs[1].Start.Position.Line, "", "a second document starts here; keep everything in one.")
	}
}

func (d *decoder) value(path string, n ast.Node, v reflect.Value) {
	line := n.GetToken().Position.Line
	switch n.(type) {
	case *ast.NullNode:
		return // as if it were not there
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.problem(line, path, "uses an anchor, alias or tag, which is not supported; write the value out.")
		return
	}
	if v.Kind() == reflect.Pointer {
		d.value(path, n, allocate(v))
		return
	}
	if isScalar(v) {
		if s, ok := n.(ast.ScalarNode); ok {
			d.scalar(line, path, textOf(s), v)
		} else {
			d.problem(line, path, "must be a single value.")
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if m, ok := n.(ast.MapNode); ok {
			d.fields(path, m, v)
		} else {
			d.problem(line, path, "must hold settings, one a line, further to the right.")
		}
	case reflect.Map:
		m, ok := n.(ast.MapNode)
		if !ok {
			d.problem(line, path, "must hold pairs, one a line, as code: code.")
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for it := m.MapRange(); it.Next(); {
			elem := reflect.New(v.Type().Elem()).Elem()
			d.lines[join(path, keyOf(it))] = it.Key().GetToken().Position.Line
			d.value(join(path, keyOf(it)), it.Value(), elem)
			v.SetMapIndex(reflect.ValueOf(keyOf(it)), elem)
		}
	case reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			d.problem(line, path, "must be a list: one line for each, beginning with a hyphen.")
			return
		}
		for i, item := range list.Values {
			elem := reflect.New(v.Type().Elem()).Elem()
			setDefaults(elem)
			name := fmt.Sprintf("%s[%d]", path, i)
			d.lines[name] = item.GetToken().Position.Line
			d.value(name, item, elem)
			v.Set(reflect.Append(v, elem))
		}
	default:
		panic("config: a field of a kind that files cannot hold: " + path)
	}
}

func (d *decoder) fields(path string, m ast.MapNode, v reflect.Value) {
	known := map[string]reflect.Value{}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			known[name] = v.Field(i)
		}
	}
	for it := m.MapRange(); it.Next(); {
		key, line := keyOf(it), it.Key().GetToken().Position.Line
		field, ok := known[key]
		if !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			d.problem(line, join(path, key), "is not a setting; %s", suggest(key, names))
			continue
		}
		d.lines[join(path, key)] = line
		d.value(join(path, key), it.Value(), field)
	}
}

// scalar sets one value from its text.
func (d *decoder) scalar(line int, path, text string, v reflect.Value) {
	d.now = path
	if err := d.set(text, v); err != nil {
		d.problem(line, path, "%s.", strings.TrimSuffix(err.Error(), "."))
	}
}

func (d *decoder) set(text string, v reflect.Value) error {
	switch target := v.Addr().Interface().(type) {
	case *Secret:
		d.secrets[d.now] = text
		switch sealed, ok := strings.CutPrefix(text, sealedPrefix); {
		case ok && d.unseal != nil:
			value, err := d.unseal(d.now, sealed)
			*target = Secret(value)
			return err
		case ok:
			return errors.New("is sealed, which only the files of clinics_dir can be")
		case d.strict && text != "" && !strings.HasPrefix(text, "file:") && !strings.HasPrefix(text, "env:"):
			return errors.New("is a secret in the open; put it into a file that only relais may read and write file:/path, or env:NAME")
		}
		return target.resolve(text, d.lookup)
	case *Duration:
		return target.UnmarshalText([]byte(text))
	case *Hours:
		return target.UnmarshalText([]byte(text))
	case encoding.TextUnmarshaler:
		if err := target.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%q is not an address range; write for example 10.0.0.0/8 or 192.0.2.7/32", text)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	default:
		panic("config: a scalar of kind " + v.Kind().String())
	}
	return nil
}

// environ applies the variables RELAIS_*: every setting outside of lists has one, its name in
// capitals with its parts joined by underscores.
func (d *decoder) environ(target any) {
	d.used = map[string]bool{"RELAIS_CONFIG": true}
	d.variables("RELAIS", reflect.ValueOf(target).Elem(), d.used)
}

// strangers complains of variables that are no settings, when everything that may refer to one was read.
func (d *decoder) strangers() {
	used := d.used
	var names, unknown []string
	for name := range used {
		names = append(names, name)
	}
	for name := range d.env {
		if strings.HasPrefix(name, "RELAIS_") && !used[name] && !d.refs[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		d.problems = append(d.problems, Problem{"environment", name, "is not a setting; " + suggest(name, names)})
	}
}

// lookup finds a variable that the file refers to by "env:NAME".
func (d *decoder) lookup(name string) string {
	d.refs[name] = true
	return d.env[name]
}

func (d *decoder) variables(prefix string, v reflect.Value, used map[string]bool) {
	for i := range v.NumField() {
		field := v.Field(i)
		if v.Type().Field(i).Tag.Get("yaml") == "" {
			continue
		}
		name := prefix + "_" + strings.ToUpper(v.Type().Field(i).Tag.Get("yaml"))
		setting := strings.ToLower(strings.TrimPrefix(name, "RELAIS_"))
		kind := field.Type()
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		text, set := d.env[name]
		switch {
		case kind.Kind() == reflect.Struct && !isScalar(reflect.New(kind).Elem()):
			// An optional part comes to life when one of its variables is set.
			if field.Kind() != reflect.Pointer {
				d.variables(name, field, used)
				continue
			}
			part := field
			if field.IsNil() {
				part = reflect.New(field.Type()).Elem()
			}
			d.variables(name, allocate(part), used)
			if d.anySet(name) {
				field.Set(part)
			}
		case kind.Kind() == reflect.Slice && isScalar(reflect.New(kind.Elem()).Elem()):
			used[name] = true
			if set {
				d.list(name, setting, text, field)
			}
		case isScalar(field):
			used[name] = true
			if !set {
				continue
			}
			d.now = setting
			if err := d.set(text, field); err != nil {
				d.problems = append(d.problems, Problem{"environment", name, strings.TrimSuffix(err.Error(), ".") + "."})
			}
			d.origin[setting] = name
		}
	}
}

func (d *decoder) anySet(prefix string) bool {
	for name := range d.env {
		if strings.HasPrefix(name, prefix+"_") {
			return true
		}
	}
	return false
}

// list sets a list of single values from a variable, with commas between them.
func (d *decoder) list(name, setting, text string, field reflect.Value) {
	field.SetZero()
	for item := range strings.SplitSeq(text, ",") {
		elem := reflect.New(field.Type().Elem()).Elem()
		if err := d.set(strings.TrimSpace(item), elem); err != nil {
			d.problems = append(d.problems, Problem{"environment", name, err.Error() + "."})
			continue
		}
		field.Set(reflect.Append(field, elem))
	}
	d.origin[setting] = name
}

func allocate(v reflect.Value) reflect.Value {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		setDefaults(v.Elem())
	}
	return v.Elem()
}

func setDefaults(v reflect.Value) {
	if p, ok := reflect.TypeAssert[defaulter](v.Addr()); ok {
		p.setDefaults()
	}
}

func isScalar(v reflect.Value) bool {
	if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return true
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
		return true
	default:
		return false
	}
}

// textOf is a value as it was written: +15145550100 is a number to YAML and a telephone to us.
func textOf(n ast.ScalarNode) string {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value
	case *ast.LiteralNode:
		return s.Value.Value
	default:
		return n.GetToken().Value
	}
}

func keyOf(it *ast.MapNodeIter) string { return it.Key().GetToken().Value }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// suggest names the nearest of names, or all of them when none is near.
func suggest(name string, names []string) string {
	slices.Sort(names)
	best, least := "", 1+len(name)/3
	for _, n := range names {
		if dist := distance(name, n); dist <= least {
			best, least = n, dist-1
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if len(names) > 20 {
		return "docs/configuration.md lists them all."
	}
	return "here there can be " + strings.Join(names, ", ") + "."
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
