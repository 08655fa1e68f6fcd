package diff

import "strings"

// edit is one line of a comparison: ' ' in both, '-' only in the reference,
// '+' only in Warren's.
type edit struct {
	op   byte
	line string
}

// compare finds the fewest lines by which two transcripts differ.
func compare(reference, warren []string) []edit {
	// common[i][j] is the length of the longest common part of reference[i:] and warren[j:].
	common := make([][]int, len(reference)+1)
	for i := range common {
		common[i] = make([]int, len(warren)+1)
	}
	for i := len(reference) - 1; i >= 0; i-- {
		for j := len(warren) - 1; j >= 0; j-- {
			if reference[i] == warren[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var edits []edit
	i, j := 0, 0
	for i < len(reference) || j < len(warren) {
		switch {
		case i < len(reference) && j < len(warren) && reference[i] == warren[j]:
			edits = append(edits, edit{' ', reference[i]})
			i++
			j++
		case i < len(reference) && (j == len(warren) || common[i+1][j] >= common[i][j+1]):
			edits = append(edits, edit{'-', reference[i]})
			i++
		default:
			edits = append(edits, edit{'+', warren[j]})
			j++
		}
	}
	return edits
}

// changes is the lines of a comparison that differ, as a Delta is written.
func changes(edits []edit) string {
	var lines []string
	for _, e := range edits {
		if e.op != ' ' {
			lines = append(lines, string(e.op)+" "+e.line)
		}
	}
	return strings.Join(lines, "\n")
}

// whole is a comparison with all its lines.
func whole(edits []edit) string {
	var lines []string
	for _, e := range edits {
		lines = append(lines, "    "+string(e.op)+" "+e.line)
	}
	return strings.Join(lines, "\n")
}

// tidy takes the indentation of the source off an expected text.
func tidy(text string) string {
	var lines []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}
