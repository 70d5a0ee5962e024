package session

import (
	"context"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

const (
	// lookAgain is for how long a source is believed that a user is still there: a
	// push is many requests, and a directory is asked over the network.
	lookAgain = 10 * time.Second

	// maxPeople bounds how many users are remembered.
	maxPeople = 10_000
)

// memory is what sources have said about users. The zero value is empty.
type memory struct {
	mu     sync.Mutex
	people map[person]presence
}

type person struct{ source, user string }

// presence is that somebody was there at a time.
type presence struct {
	who   access.Identity
	stamp string
	at    time.Time
}

// lookup asks the source of a user, or remembers what it has said. Faults, and
// that somebody is gone, are not remembered.
func (s *Sessions) lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	key, now := person{source, user}, s.Now()
	if p, ok := s.memory.get(key); ok && !now.Before(p.at) && now.Sub(p.at) < lookAgain {
		return p.who, p.stamp, nil
	}
	return s.ask(ctx, key, now)
}

// ask asks the source of a user, whatever it has said before.
func (s *Sessions) ask(ctx context.Context, key person, now time.Time) (access.Identity, string, error) {
	who, stamp, err := s.Users.Lookup(ctx, key.source, key.user)
	if err != nil {
		s.memory.forget(key)
		return access.Identity{}, "", err
	}
	s.memory.put(key, presence{who: who, stamp: stamp, at: now})
	return who, stamp, nil
}

func (m *memory) get(key person) (presence, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.people[key]
	return p, ok
}

func (m *memory) forget(key person) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.people, key)
}

// put remembers one more. When there are too many it begins anew: they are asked for
// again within seconds anyway.
func (m *memory) put(key person, p presence) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.people == nil || len(m.people) >= maxPeople {
		m.people = map[person]presence{}
	}
	m.people[key] = p
}
