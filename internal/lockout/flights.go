package lockout

// flights are the passwords that are being checked now.
type flights struct{ pairs, users, addresses tries }

func newFlights() flights { return flights{newTries(), newTries(), newTries()} }

func (f flights) begin(a Attempt) { f.change(a, 1) }
func (f flights) end(a Attempt)   { f.change(a, -1) }

func (f flights) change(a Attempt, n int) {
	f.pairs.change(a.pair, a.ofPair(), n)
	if a.stranger {
		f.users.change(a.pair.ofUser(), a.ofUser(), n)
		f.addresses.change(a.pair.ofAddress(), a.ofPair(), n)
	}
}

// tries are how many different passwords are being tried for each key. One that
// comes many times is one.
type tries struct {
	each      map[try]int // how often each is being tried
	different map[key]int
}

// try is a password of somebody.
type try struct {
	whose key
	guess guess
}

func (a Attempt) ofPair() try { return try{a.pair, a.guess} }
func (a Attempt) ofUser() try { return try{a.pair.ofUser(), a.guess} }

func newTries() tries { return tries{map[try]int{}, map[key]int{}} }

// fits reports whether t may be tried where there is room for so many.
func (ts tries) fits(k key, t try, room int) bool {
	return ts.different[k] < room || ts.each[t] > 0
}

// change adds n, which is 1 or -1, to how often t is being tried for k.
func (ts tries) change(k key, t try, n int) {
	before := ts.each[t]
	set(ts.each, t, before+n)
	if before == 0 || before+n == 0 {
		set(ts.different, k, ts.different[k]+n)
	}
}

// set is m[k] = n, without the zeros.
func set[K comparable](m map[K]int, k K, n int) {
	if n == 0 {
		delete(m, k)
		return
	}
	m[k] = n
}
