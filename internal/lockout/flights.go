package lockout

// flights are the passwords that are being checked now: how many different ones for
// each user and address.
type flights struct {
	same                    map[flight]int // how often each is being checked
	pairs, users, addresses map[key]int
}

// flight is a password that is being checked.
type flight struct {
	pair     key
	guess    guess
	stranger bool
}

func newFlights() flights {
	return flights{same: map[flight]int{}, pairs: map[key]int{}, users: map[key]int{}, addresses: map[key]int{}}
}

func flightOf(a Attempt) flight { return flight{a.pair, a.guess, a.stranger} }

// under reports whether the password of a is being checked already.
func (f *flights) under(a Attempt) bool { return f.same[flightOf(a)] > 0 }

func (f *flights) begin(a Attempt) {
	as := flightOf(a)
	f.same[as]++
	if f.same[as] == 1 {
		f.add(a, 1)
	}
}

func (f *flights) end(a Attempt) {
	as := flightOf(a)
	if f.same[as]--; f.same[as] == 0 {
		delete(f.same, as)
		f.add(a, -1)
	}
}

func (f *flights) add(a Attempt, n int) {
	change(f.pairs, a.pair, n)
	if a.stranger {
		change(f.users, a.pair.ofUser(), n)
		change(f.addresses, a.pair.ofAddress(), n)
	}
}

func change(m map[key]int, k key, n int) {
	if m[k] += n; m[k] == 0 {
		delete(m, k)
	}
}
