// Package log is the one write path to a node's disk: a segmented log that all
// Raft groups of the node share. One writer goroutine gathers what the groups
// append, writes it at once and syncs once; StoreLogs returns after that sync.
//
// It knows groups and indexes and nothing of queues, and it reclaims no space
// yet. Its promise: what was acknowledged is there after a crash, and what was
// damaged is reported and never served. Run ends with an error when a write or
// a sync fails or hangs; the process must stop then, and nothing is retried.
//
// # Files
//
// The folder holds a lock file and segments, named by a number in hex that
// rises by one: 0000000000000001.seg. A segment is preallocated, so that bytes
// never written read as zero. All numbers are little-endian, all checksums
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
//	32  4  checksum of bytes 0 to 32
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
//
// A segment is sealed in the background after the writer has left it: the
// footer is written and synced, then the trailer behind it, and then the file is
// cut at its end. The footer's body is, for every run of
// consecutive entries of a group, their offsets (4 bytes each), then the
// directory in unsigned varints: number of groups; for each the group, bytes of
// its entries, number of events; for each event its kind (entry stands for a
// run), index, and for a run its count and the offset of its offsets. Events
// stand in the order of their records. Trailer:
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
// A group's entries that Raft still needs follow each other without a gap;
// where one is missing, for example with a lost segment, the group is corrupt.
// Entries of sealed segments are checked whenever they are read.
package log
