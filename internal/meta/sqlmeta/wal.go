package sqlmeta

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The log of SQLite is a header and frames; a frame is a header and a page. Sums
// run on from the header through all frames
// (https://sqlite.org/fileformat2.html#the_write_ahead_log).
const (
	logHeaderSize   = 32
	frameHeaderSize = 24
	logMagic        = 0x377f0682 // and 1 more if sums are over big-endian words
)

var errLogDamaged = errors.New("the log of the metadata database is damaged")

// wal is an open log.
type wal struct {
	f        file
	header   []byte
	order    binary.ByteOrder // of the words that sums are over
	pageSize int64            // bytes
}

// readWAL reads the header of a log that has frames.
//
// Errors: errLogDamaged.
func readWAL(f file) (*wal, error) {
	l := &wal{f: f, header: make([]byte, logHeaderSize), order: binary.LittleEndian}
	if _, err := f.ReadAt(l.header, 0); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	magic := binary.BigEndian.Uint32(l.header)
	if magic&^1 != logMagic {
		return nil, fmt.Errorf("%w: it begins with %x", errLogDamaged, l.header[:4])
	}
	if magic&1 != 0 {
		l.order = binary.BigEndian
	}
	if l.pageSize = int64(binary.BigEndian.Uint32(l.header[8:])); l.pageSize < 512 || l.pageSize > 65536 {
		return nil, fmt.Errorf("%w: pages of %d bytes", errLogDamaged, l.pageSize)
	}
	if want := readSum(l.header[24:]); l.sum(sum{}, l.header[:24]) != want {
		return nil, fmt.Errorf("%w: its header has another sum", errLogDamaged)
	}
	return l, nil
}

// rewrite cuts off what is behind the first frames, and writes those once more, as
// they are. After a failed sync the kernel takes lost pages for written: the next
// sync does not write them, unless they are made new.
//
// The cut comes first: what is behind was never committed, and must not turn up
// after a kill, even if the rest fails.
//
// Errors: errLogDamaged.
func (l *wal) rewrite(frames int64) error {
	if err := l.f.Truncate(l.offset(frames)); err != nil {
		return fmt.Errorf("cut the log: %w", err)
	}
	if _, err := l.f.WriteAt(l.header, 0); err != nil {
		return fmt.Errorf("write the header of the log again: %w", err)
	}
	running := readSum(l.header[24:])
	frame := make([]byte, l.frameSize())
	for i := range frames {
		if _, err := l.f.ReadAt(frame, l.offset(i)); err != nil {
			return fmt.Errorf("read frame %d of the log: %w", i, err)
		}
		running = l.sum(l.sum(running, frame[:8]), frame[frameHeaderSize:])
		if string(frame[8:16]) != string(l.header[16:24]) || running != readSum(frame[16:]) {
			return fmt.Errorf("%w: frame %d is not what was written", errLogDamaged, i)
		}
		if _, err := l.f.WriteAt(frame, l.offset(i)); err != nil {
			return fmt.Errorf("write frame %d of the log again: %w", i, err)
		}
	}
	if frames > 0 && binary.BigEndian.Uint32(frame[4:]) == 0 {
		return fmt.Errorf("%w: frame %d does not end a transaction", errLogDamaged, frames-1)
	}
	return cut(l.f, l.offset(frames))
}

// cut ends a file at size and syncs it.
func cut(f file, size int64) error {
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("cut the log: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	return nil
}

// copyTo writes the pages of the first frames into the database, the last of
// each page, and syncs it.
func (l *wal) copyTo(database file, frames int64) error {
	last := map[uint32]int64{}
	header := make([]byte, frameHeaderSize)
	for i := range frames {
		if _, err := l.f.ReadAt(header, l.offset(i)); err != nil {
			return fmt.Errorf("read frame %d of the log: %w", i, err)
		}
		last[binary.BigEndian.Uint32(header)] = i
	}
	page := make([]byte, l.pageSize)
	for number, i := range last {
		if _, err := l.f.ReadAt(page, l.offset(i)+frameHeaderSize); err != nil {
			return fmt.Errorf("read frame %d of the log: %w", i, err)
		}
		if _, err := database.WriteAt(page, (int64(number)-1)*l.pageSize); err != nil {
			return fmt.Errorf("write page %d of the database again: %w", number, err)
		}
	}
	if err := database.Sync(); err != nil {
		return fmt.Errorf("sync the database: %w", err)
	}
	return nil
}

func (l *wal) frameSize() int64 { return frameHeaderSize + l.pageSize }

func (l *wal) offset(frame int64) int64 { return logHeaderSize + frame*l.frameSize() }

// sum is the running sum of a log.
type sum [2]uint32

func readSum(b []byte) sum {
	return sum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// sum adds b, which is a multiple of 8 bytes long, to s.
func (l *wal) sum(s sum, b []byte) sum {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += l.order.Uint32(b) + s[1]
		s[1] += l.order.Uint32(b[4:]) + s[0]
	}
	return s
}
