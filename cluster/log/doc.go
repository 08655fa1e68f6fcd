// Package log is the one write path to a node's disk: a segmented log that all
// Raft groups of the node share. One writer goroutine gathers what the groups
// append, writes it at once and syncs once; StoreLogs returns after that sync.
//
// It knows groups and indexes and nothing of queues: which released entries are
// still needed, and which messages of them, it asks a Live. Its promise: what was
// acknowledged and is needed is there after a crash, what was made void or
// reclaimed does not come back, and what was damaged is reported and never
// served. Run ends with an error when a write or a sync fails or hangs; the
// process must stop then, and nothing is retried.
//
// # Files
//
// The folder holds a lock file and segments, named by a number in hex that
// rises by one: 0000000000000001.seg. A segment that was rewritten stands for
// those from its number to another, and has its generation behind its number:
// 0000000000000001-00000002.seg. A segment is preallocated, so that bytes
// never written read as zero. spare.tmp and rewrite.tmp are segments in the
// making; Open removes them. All numbers are little-endian, all checksums
// CRC32C, and every record starts at a multiple of 8.
//
//	segment = header block | records | footer record | trailer   (the last two when sealed)
//
// Header block, 4096 bytes; the header stands in it twice, at 0 and at 2048.
// It keeps this layout in every version, so that an older program can tell that
// a folder is newer (ErrNewer):
//
//	0   8  magic "WARRENLG"
//	8   4  version, now 1
//	12  8  number of the segment
//	20  8  nonce, random
//	28  4  bytes allocated: until it is sealed the file is not shorter
//	32  8  the last number that it stands for; its own, unless it was rewritten
//	40  4  generation: 0, or one more than those of the segments that it was made of
//	44  4  checksum of bytes 0 to 44
//
// Record: a head of 56 bytes, the body, zeros up to a multiple of 8. The
// checksum of the head starts from the checksum of number and nonce, so that
// no bytes of another segment, nor any that a client sent, look like a record.
//
//	0   4  checksum of bytes 4 to 56; never zero
//	4   4  bytes of the body
//	8   4  checksum of the body
//	12  4  synced: all bytes of this segment below it were synced when this was written
//	16  1  kind
//	17  1  raft.LogType (entry)
//	18  2  zero
//	20  4  bytes of raft.Log.Extensions, with which the body begins (entry)
//	24  8  group
//	32  8  index
//	40  8  term
//	48  8  raft.Log.AppendedAt in nanoseconds since 1970; the smallest number means none
//
// Kinds:
//
//	1 entry     a Raft entry; body: extensions, data
//	2 truncate  the group's entries from index on are void (a conflict)
//	3 release   Raft needs no entry up to index any more (a snapshot covers them);
//	            bodies stay readable. Raft's log goes on at index + 1 or above
//	4 drop      everything of the group before this record is void
//	5 mark      nothing but its synced; written, not synced, when the writer is idle
//	6 begin     first in each segment; index: number of the segment before it,
//	            term: up to where that one's records were synced, which is all that count
//	7 footer    body: offsets of the entries and the directory, see below
//	8 span      in rewritten segments: the group's entries from index to term (here no
//	            term) were here; those that follow in this segment are all that is left
//	9 adopted   a body that came with a snapshot; as an entry, and Raft sees nothing of it
//
// A segment is sealed in the background after the writer has left it: the
// footer is written and synced, then the trailer behind it, and then the file is
// cut at its end. The footer's body is, for every run of
// consecutive entries of a group, their offsets (4 bytes each), and for a span and
// for the adopted bodies pairs of 16 bytes: index, offset, checksum of both that starts
// from that of number and nonce; an offset needs none, for the record says whose it is.
// Then the directory in unsigned varints: number of groups; for each the group, bytes of
// its entries, number of events; for each event its kind (entry stands for a
// run), index, for a span and for adopted bodies the last index less the first, and for
// all three the count of entries and the offset of their offsets or pairs. Events
// stand in the order of their records, adopted bodies last. Trailer:
//
//	0   8  magic "WARRENFT"
//	8   8  number of the segment
//	16  4  where the records end and the footer begins
//	20  4  offset of the directory
//	24  4  bytes of the directory
//	28  4  checksum of the directory
//	32  4  checksum of the segment's number and nonce
//	36  4  checksum of bytes 0 to 36
//
// # Recovery
//
// Open reads the directories of sealed segments and the records of the others,
// which are the last one or two. At most one write is not known to be synced,
// and its records say so: they all carry the same synced, which is where it
// begins or less. Let S be the highest synced in a segment, or the end that
// the next one's begin names. A bad record at or above S is the torn tail of a
// write that nobody was answered about, whatever valid records stand behind it:
// blocks reach the disk in any order. The segment ends there, and what stands
// behind is made zero. A bad record below S is corruption: its group (every
// group, if its head is unreadable) answers ErrCorrupt until DropGroup. So is a
// file that is shorter than what was allocated. A damaged segment is never sealed, so its
// damage is found again at every start. What lies above S is written again and
// synced before it is served, since it may have been only in the page cache.
//
// The numbers that segments stand for begin at 1 and have no gap; where there is
// one, a file is lost, and all groups are corrupt. A group's entries and spans
// follow each other without a gap too, and no span reaches beyond what Raft has
// released. Entries of sealed segments are checked whenever they are read.
//
// # Reclaiming space
//
// Raft releases entries, and messages are settled. A goroutine of its own, the
// reclaimer, looks soon after each change, and not at all when nothing changes, at how
// much of each sealed segment is needed: entries that Raft needs, released ones with
// live messages, and of these, if Config.Thin is there, the live messages alone. It
// counts first, and measures (sizes from the footer, thinning a sample) where the
// count has gone down. A segment that is mostly dead is rewritten with what is needed
// of it, at a bounded rate; neighbours that are mostly dead too, or small and
// rewritten before, go into the same file, so that few files are left. Entries that
// Raft needs are copied as they are. Deleting a segment is the same with nothing left:
// a file of a few hundred bytes stands for all that were ever deleted.
//
// What control records mean stays true because a rewritten segment stands in the
// place of the ones that it was made of, and says of each group what they said: the
// same truncates, releases and drops, in the same order beside the same spans, without
// those that cancel out (program). So a truncate, whose void entries may be in an older
// segment that stays, stays as well, in 56 bytes; and a later record that makes
// something void here does so at every replay, whether the entries were copied, or
// left out because they were void already. Only at the front of the log, where nothing
// older is left that could be meant, drops and truncates go, and what was released and
// has nothing left becomes a release. Spans keep the sequence of indexes whole, so that
// a lost run is still told from a reclaimed one.
//
// The new file is written, with its footer, and synced under another name; then it
// gets its name, the folder is synced, and the old files are removed. At any moment
// either all of the old files are there, or the new one is whole: Open ignores and
// removes files whose numbers one of a higher generation stands for. Readers look into
// the new file from one moment on; who has the old one open reads it to the end, and
// who comes too late looks again. Space for a small rewritten segment is reserved, and
// entries leave some in each segment to control records, so that a full disk can be
// emptied.
//
// A Live must never count as live again what it did not count once. A state machine that
// starts again from an older snapshot does so for a while; what it counts then may
// have been reclaimed, and is settled by entries that it has yet to apply.
//
// # Bodies of snapshots
//
// A snapshot of a group comes with the bodies of live messages, which are adopted:
// written to the log beside Raft's entries, of which they need know nothing. A body is
// looked up among adopted ones first. An own entry of the same index and term says the
// same, and then nothing is adopted; one of another term was never committed, and only
// Raft may see it until it cuts it off. Own entries stored later with an index of an
// adopted body are the same entry again, for whoever was sent the snapshot can no
// longer follow a leader without it; so the adopted body, which may have been thinned
// further, is good for every state that has come as far as the snapshot.
package log
