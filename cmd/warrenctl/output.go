package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// row is one line of a listing, by column.
type row map[string]any

// write shows rows in the chosen format.
func (c *call) write(columns []string, rows []row) error {
	switch c.formatter {
	case "json":
		return writeJSON(c.out, columns, rows)
	case "csv":
		return writeCSV(c.out, columns, rows)
	}
	for i, r := range rows { // no row, no header: as rabbitmqctl has it
		if i == 0 && !c.silent && !c.noHeaders {
			fmt.Fprintln(c.out, strings.Join(columns, "\t"))
		}
		cells := make([]string, len(columns))
		for j, column := range columns {
			cells[j] = cell(r[column])
		}
		fmt.Fprintln(c.out, strings.Join(cells, "\t"))
	}
	return nil
}

// writeJSON writes an array with a row a line, the columns in their order.
func writeJSON(w io.Writer, columns []string, rows []row) error {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, r := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		for j, column := range columns {
			if j > 0 {
				b.WriteByte(',')
			}
			value, err := encode(r[column])
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%q:%s", column, value)
		}
		b.WriteString("}\n")
	}
	b.WriteString("]\n")
	_, err := w.Write(b.Bytes())
	return err
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func writeCSV(w io.Writer, columns []string, rows []row) error {
	var b strings.Builder
	line := func(cells []string) {
		for i, text := range cells {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + strings.ReplaceAll(text, `"`, `""`) + `"`)
		}
		b.WriteByte('\n')
	}
	line(columns)
	for _, r := range rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			cells[i] = cell(r[column])
		}
		line(cells)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell writes a value as rabbitmqctl's tables do, where lists and objects are Erlang's.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return escape(v)
	case bool:
		return strconv.FormatBool(v)
	case float64: // of JSON: most are whole
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = cell(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, fmt.Sprintf("{%q,%s}", k, inner(v[k])))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return fmt.Sprint(v)
}

// inner is cell for what is in an object: texts are quoted there.
func inner(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return cell(v)
}

// escape keeps a text in its cell.
func escape(s string) string {
	return strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(s)
}
