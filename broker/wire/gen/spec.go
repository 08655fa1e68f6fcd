package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// spec is what the generator needs of the specification's XML.
type spec struct {
	Constants []constant `xml:"constant"`
	Domains   []domain   `xml:"domain"`
	Classes   []class    `xml:"class"`
}

type constant struct {
	Name  string `xml:"name,attr"`
	Value int    `xml:"value,attr"`
	Class string `xml:"class,attr"` // soft-error, hard-error or nothing
}

type domain struct {
	Name string `xml:"name,attr"`
	Type string `xml:"type,attr"`
}

type class struct {
	Name    string   `xml:"name,attr"`
	Index   int      `xml:"index,attr"`
	Methods []method `xml:"method"`
}

type method struct {
	Name   string  `xml:"name,attr"`
	Index  int     `xml:"index,attr"`
	Fields []field `xml:"field"`
}

type field struct {
	Name   string `xml:"name,attr"`
	Domain string `xml:"domain,attr"`
	Type   string `xml:"type,attr"`
}

func parseSpec(data []byte) (*spec, error) {
	s := new(spec)
	if err := xml.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("parse specification: %w", err)
	}
	types := make(map[string]string, len(s.Domains))
	for _, d := range s.Domains {
		types[d.Name] = d.Type
	}
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			for i := range m.Fields {
				f := &m.Fields[i]
				if f.Type == "" {
					f.Type = types[f.Domain]
				}
				if goTypes[f.Type] == "" {
					return nil, fmt.Errorf("%s.%s: field %s has unknown domain %q", c.Name, m.Name, f.Name, f.Domain)
				}
			}
		}
	}
	return s, nil
}

// goTypes gives the Go type of each elementary type of the specification.
var goTypes = map[string]string{
	"bit":      "bool",
	"octet":    "uint8",
	"short":    "uint16",
	"long":     "uint32",
	"longlong": "uint64",
	"shortstr": "string",
	"longstr":  "string",
	"bytes":    "[]byte",
	"table":    "Table",
}

// kind is the field's elementary type. SASL's octets are no text: they become byte slices.
func (f field) kind() string {
	if f.Type == "longstr" && (f.Name == "response" || f.Name == "challenge") {
		return "bytes"
	}
	return f.Type
}

// goName turns a name of the specification into Go's spelling: class-id, ClassID.
func goName(name string) string {
	if name == "nowait" { // confirm.select alone spells it so
		name = "no-wait"
	}
	var b strings.Builder
	for _, word := range strings.Split(name, "-") {
		if word == "id" {
			b.WriteString("ID")
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
