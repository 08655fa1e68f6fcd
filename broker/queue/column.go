package queue

type number interface{ uint8 | uint32 | uint64 }

// column is a number for each message of a run, by its place behind extra.base: nothing when
// all are 0, and one number when all are the same.
type column[T number] []T

// newColumn makes a column of values, which it takes over.
func newColumn[T number](values []T) column[T] {
	for _, v := range values {
		if v != values[0] {
			return values
		}
	}
	if len(values) == 0 || values[0] == 0 {
		return nil
	}
	return column[T]{values[0]}
}

func (c column[T]) get(i uint32) T {
	switch len(c) {
	case 0:
		return 0
	case 1:
		return c[0]
	default:
		return c[i]
	}
}

// part is the column of the messages from place i up to place j.
func (c column[T]) part(i, j uint32) column[T] {
	if len(c) <= 1 {
		return c
	}
	return newColumn(c[i:j:j])
}

// clonePart is part, and to be changed.
func clonePart(c column[uint32], i, j uint32) column[uint32] {
	return append(column[uint32](nil), c.part(i, j)...)
}

// each makes room for a number of its own for each of n messages.
func (c column[T]) each(n uint32) column[T] {
	if m := uint32(len(c)); m >= n && (m > 1 || n == 1) {
		return c
	}
	all := make(column[T], n)
	for i := range all {
		all[i] = c.get(uint32(i))
	}
	return all
}

// like says that both are one number for all messages, and the same.
func (c column[T]) like(d column[T]) bool {
	return len(c) == 0 && len(d) == 0 || len(c) == 1 && len(d) == 1 && c[0] == d[0]
}
