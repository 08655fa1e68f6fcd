package main

import (
	"bytes"
	"fmt"
	"strings"
)

// writeCodes writes the reply codes, their names on the wire and their scope.
func writeCodes(w *bytes.Buffer, s *spec) {
	var codes []constant
	for _, c := range s.Constants {
		if c.Class != "" || c.Name == "reply-success" {
			codes = append(codes, c)
		}
	}
	fmt.Fprint(w, "// Reply codes. A hard one closes the connection, a soft one its channel.\nconst (\n")
	for _, c := range codes {
		fmt.Fprintf(w, "%s uint16 = %d", goName(c.Name), c.Value)
		if c.Class != "" {
			fmt.Fprintf(w, " // %s", strings.TrimSuffix(c.Class, "-error"))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, ")\n\n// Name returns a reply code's name as RabbitMQ spells it in reply texts.\nfunc Name(code uint16) string {\nswitch code {\n")
	for _, c := range codes {
		fmt.Fprintf(w, "case %s: return %q\n", goName(c.Name), strings.ToUpper(strings.ReplaceAll(c.Name, "-", "_")))
	}
	fmt.Fprint(w, "}\nreturn \"UNKNOWN\"\n}\n\n")
	fmt.Fprint(w, "// Hard reports whether an error of this code closes the connection rather than the channel.\n// A code that the specification does not know is hard.\nfunc Hard(code uint16) bool {\nswitch code {\ncase ")
	var soft []string
	for _, c := range codes {
		if c.Class != "hard-error" {
			soft = append(soft, goName(c.Name))
		}
	}
	fmt.Fprintf(w, "%s: return false\n}\nreturn true\n}\n", strings.Join(soft, ", "))
}

func writeMethods(w *bytes.Buffer, s *spec) {
	fmt.Fprint(w, "// Classes.\nconst (\n")
	for _, c := range s.Classes {
		fmt.Fprintf(w, "Class%s uint16 = %d\n", goName(c.Name), c.Index)
	}
	fmt.Fprint(w, ")\n\n// Keys of the methods, as PeekMethod gives them.\nconst (\n")
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			fmt.Fprintf(w, "Key%s%s MethodKey = %d<<16 | %d\n", goName(c.Name), goName(m.Name), c.Index, m.Index)
		}
	}
	fmt.Fprint(w, ")\n\n// newMethod returns an empty method, nil for a key that the specification does not know.\nfunc newMethod(key MethodKey) Method {\nswitch key {\n")
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			name := goName(c.Name) + goName(m.Name)
			fmt.Fprintf(w, "case Key%s: return new(%s)\n", name, name)
		}
	}
	fmt.Fprint(w, "}\nreturn nil\n}\n")
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			writeMethod(w, c, m)
		}
	}
}

func writeMethod(w *bytes.Buffer, c class, m method) {
	name, wireName := goName(c.Name)+goName(m.Name), c.Name+"."+m.Name
	fmt.Fprintf(w, "\n// %s is %s.\ntype %s struct {\n", name, wireName, name)
	for _, f := range m.Fields {
		fmt.Fprintf(w, "%s %s\n", goName(f.Name), goTypes[f.kind()])
	}
	fmt.Fprint(w, "}\n\n")
	fmt.Fprintf(w, "// ID returns %d, %d.\nfunc (*%s) ID() (class, method uint16) { return %d, %d }\n\n", c.Index, m.Index, name, c.Index, m.Index)
	fmt.Fprintf(w, "// Name returns %q.\nfunc (*%s) Name() string { return %q }\n\n", wireName, name, wireName)
	if len(m.Fields) == 0 {
		fmt.Fprintf(w, "func (*%s) decode(*decoder) {}\n\nfunc (*%s) append(b []byte) []byte { return b }\n", name, name)
		return
	}
	fmt.Fprintf(w, "func (m *%s) decode(d *decoder) {\n", name)
	writeFields(w, m.Fields, writeDecodeBits, func(f field) {
		fmt.Fprintf(w, "m.%s = d.%s()\n", goName(f.Name), f.kind())
	})
	fmt.Fprintf(w, "}\n\nfunc (m *%s) append(b []byte) []byte {\n", name)
	writeFields(w, m.Fields, writeAppendBits, func(f field) {
		fmt.Fprintf(w, "b = append%s(b, m.%s)\n", goName(f.kind()), goName(f.Name))
	})
	fmt.Fprint(w, "return b\n}\n")
}

// writeFields hands stretches of bits, which share octets on the wire, to bits and other fields to one.
func writeFields(w *bytes.Buffer, fields []field, bits func(*bytes.Buffer, []field), one func(field)) {
	for len(fields) > 0 {
		if fields[0].Type != "bit" {
			one(fields[0])
			fields = fields[1:]
			continue
		}
		n := 1
		for n < len(fields) && n < 8 && fields[n].Type == "bit" {
			n++
		}
		bits(w, fields[:n])
		fields = fields[n:]
	}
}

func writeDecodeBits(w *bytes.Buffer, fields []field) {
	if len(fields) == 1 {
		fmt.Fprintf(w, "m.%s = d.octet()&1 != 0\n", goName(fields[0].Name))
		return
	}
	fmt.Fprint(w, "bits := d.octet()\n")
	for i, f := range fields {
		fmt.Fprintf(w, "m.%s = bits&%d != 0\n", goName(f.Name), 1<<i)
	}
}

func writeAppendBits(w *bytes.Buffer, fields []field) {
	var terms []string
	for i, f := range fields {
		term := "bit(m." + goName(f.Name) + ")"
		if i > 0 {
			term += fmt.Sprintf("<<%d", i)
		}
		terms = append(terms, term)
	}
	fmt.Fprintf(w, "b = append(b, %s)\n", strings.Join(terms, "|"))
}
