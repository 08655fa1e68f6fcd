package management

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPageSize = 100
	maxPageSize     = 500
)

// pageJSON is a page of a list.
type pageJSON struct {
	FilteredCount int   `json:"filtered_count"`
	ItemCount     int   `json:"item_count"`
	Items         []any `json:"items"`
	Page          int   `json:"page"`
	PageCount     int   `json:"page_count"`
	PageSize      int   `json:"page_size"`
	TotalCount    int   `json:"total_count"`
}

// replyList answers with a list as the query wants it: columns, sort,
// sort_reverse, and with page also name, use_regex and page_size.
func replyList[T any](w http.ResponseWriter, r *http.Request, list []T) {
	q := r.URL.Query()
	columns, sort, page := q.Get("columns"), q.Get("sort"), q.Get("page")
	if columns == "" && sort == "" && page == "" && q.Get("sort_reverse") == "" {
		reply(w, http.StatusOK, list)
		return
	}
	items, err := generic(list)
	if err != nil {
		failed(w, err)
		return
	}
	total := len(items)
	if page != "" {
		if items, err = filter(items, q); err != nil {
			reply(w, http.StatusBadRequest, problem{"invalid_pagination_parameters", err.Error()})
			return
		}
	}
	if sort != "" {
		slices.SortStableFunc(items, func(a, b any) int { return compare(at(a, sort), at(b, sort)) })
	}
	if q.Get("sort_reverse") == "true" {
		slices.Reverse(items)
	}
	if columns != "" {
		for i := range items {
			items[i] = project(items[i], strings.Split(columns, ","))
		}
	}
	if page == "" {
		reply(w, http.StatusOK, items)
		return
	}
	cut, p := paginate(items, total, q)
	if p != nil {
		reply(w, http.StatusBadRequest, p)
		return
	}
	reply(w, http.StatusOK, cut)
}

// generic turns a list into maps by way of its JSON.
func generic(list any) ([]any, error) {
	b, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	return items, nil
}

func filter(items []any, q url.Values) ([]any, error) {
	name := q.Get("name")
	if name == "" {
		return items, nil
	}
	match := func(s string) bool { return strings.Contains(s, name) }
	if q.Get("use_regex") == "true" {
		re, err := regexp.Compile(name)
		if err != nil {
			return nil, err
		}
		match = re.MatchString
	}
	return slices.DeleteFunc(items, func(v any) bool {
		s, _ := at(v, "name").(string)
		return !match(s)
	}), nil
}

func paginate(items []any, total int, q url.Values) (*pageJSON, *problem) {
	page, err := strconv.Atoi(q.Get("page"))
	size := defaultPageSize
	if s := q.Get("page_size"); err == nil && s != "" {
		size, err = strconv.Atoi(s)
	}
	if err != nil || page < 1 || size < 1 || size > maxPageSize {
		return nil, &problem{"invalid_pagination_parameters", fmt.Sprintf("page and page_size must be positive, page_size at most %d", maxPageSize)}
	}
	pages := max(1, (len(items)+size-1)/size)
	if page > pages {
		return nil, &problem{"page_out_of_range", fmt.Sprintf("Page out of range, page: %d page size: %d, len: %d", page, size, len(items))}
	}
	cut := items[(page-1)*size : min(page*size, len(items))]
	return &pageJSON{
		FilteredCount: len(items), ItemCount: len(cut), Items: append([]any{}, cut...),
		Page: page, PageCount: pages, PageSize: size, TotalCount: total,
	}, nil
}

// at finds a.b.c in nested objects.
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// project keeps the columns of an object.
func project(v any, columns []string) any {
	out := make(map[string]any, len(columns))
	for _, c := range columns {
		value := at(v, c)
		if value == nil {
			continue
		}
		inner := out
		path := strings.Split(c, ".")
		for _, key := range path[:len(path)-1] {
			next, ok := inner[key].(map[string]any)
			if !ok {
				next = make(map[string]any)
				inner[key] = next
			}
			inner = next
		}
		inner[path[len(path)-1]] = value
	}
	return out
}

// compare orders numbers before texts before all else.
func compare(a, b any) int {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return cmp.Compare(x, y)
		}
		return -1
	}
	if _, ok := number(b); ok {
		return 1
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
