package queue

import (
	"encoding/binary"

	"github.com/warrenmq/warren/broker/level"
)

// trialLevel is the level that turns trial on.
const trialLevel = 2

// Level is the level that the group's log has turned on.
func (s *State) Level() uint64 { return s.level }

// raise turns a level on. It goes no further than what the build knows, since no entry that says
// more is decoded, and never back.
func (s *State) raise(c Level) Answer {
	s.level = max(s.level, c.Level)
	return Answer{Status: Applied, Count: s.level}
}

// appendHead appends what a snapshot opens with, the sessions behind it.
func (s *State) appendHead(dst []byte) []byte {
	return s.appendSessions(s.appendLevel(append(dst, snapshotVersion)))
}

func (s *State) appendLevel(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.level)
	if s.level >= trialLevel {
		dst = s.trial.append(dst)
	}
	return dst
}

// restoreLevel reads what appendLevel wrote, unless a newer build did.
func (s *State) restoreLevel(r *reader) error {
	s.level = r.uvarint()
	if r.bad || s.level < level.First {
		return malformed("level of a snapshot")
	}
	if err := level.Check("a snapshot", s.level, level.Known); err != nil {
		return err
	}
	if s.level >= trialLevel {
		s.trial.restore(r)
	}
	return nil
}
