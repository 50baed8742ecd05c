package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of what passwords may cost. A bcrypt comparison takes some 50 ms of a
// core; what it found is remembered, so that one is made for a pair of name and
// password and not for a request.
const (
	verdictsMax  = 1024 // pairs remembered, right and wrong apart
	comparingMax = 1    // comparisons at a time
	waitingMax   = 16   // callers that wait for one
	triesMax     = 10   // comparisons of one address at once
	triesEvery   = time.Second
	addressesMax = 4096
)

// verdict is what a password turned out to be.
type verdict int

const (
	wrong verdict = iota
	right
	busy // it was not looked at
)

// passwords compares passwords with bcrypt hashes at a bounded cost.
type passwords struct {
	now  func() time.Time
	salt [32]byte
	slot chan struct{}
	wait chan struct{}

	mu       sync.Mutex
	verdicts [2]map[[sha256.Size]byte]struct{} // by wrong and right
	tries    map[netip.Prefix]bucket
	forgot   time.Time // when addresses were looked through
}

// bucket holds the comparisons that an address may still have.
type bucket struct {
	left float64
	at   time.Time
}

func newPasswords(now func() time.Time) *passwords {
	p := &passwords{now: now, slot: make(chan struct{}, comparingMax), wait: make(chan struct{}, waitingMax), tries: map[netip.Prefix]bucket{}}
	rand.Read(p.salt[:]) // never fails
	p.verdicts[wrong], p.verdicts[right] = map[[sha256.Size]byte]struct{}{}, map[[sha256.Size]byte]struct{}{}
	return p
}

// dummyHash is compared with when there is no such user, so that the time of an
// answer does not tell which users there are. Nobody knows its password.
const dummyHash = "$2a$10$09Ss/mXqaw94M28Dy8SmMuomoNtrSpBjOyEmMUOw035IVWu.wnCSe"

// check compares password with the bcrypt hash of user, "" when there is none.
func (p *passwords) check(user, password, hash string, from netip.Addr) verdict {
	known := hash != ""
	if !known {
		hash = dummyHash
	}
	key := p.key(user, password, hash)
	p.mu.Lock()
	for v := wrong; v <= right; v++ {
		if _, seen := p.verdicts[v][key]; seen {
			p.mu.Unlock()
			return v
		}
	}
	allowed := p.takeLocked(from)
	p.mu.Unlock()
	if !allowed {
		return busy
	}
	select {
	case p.wait <- struct{}{}:
	default:
		return busy
	}
	p.slot <- struct{}{}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	<-p.slot
	<-p.wait
	v := wrong
	if err == nil && known {
		v = right
	}
	p.remember(v, key)
	return v
}

func (p *passwords) remember(v verdict, key [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.verdicts[v]) >= verdictsMax {
		for k := range p.verdicts[v] { // any
			delete(p.verdicts[v], k)
			break
		}
	}
	p.verdicts[v][key] = struct{}{}
}

// key names a pair of user and password. It has the hash in it: a changed
// password is another pair.
func (p *passwords) key(user, password, hash string) [sha256.Size]byte {
	text := make([]byte, 0, len(p.salt)+len(user)+len(password)+len(hash)+24)
	text = append(text, p.salt[:]...)
	for _, s := range []string{user, hash, password} {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(s))), s...)
	}
	return sha256.Sum256(text)
}

// takeLocked takes one comparison from what an address may have; IPv6 networks
// of 64 bits count as one address.
func (p *passwords) takeLocked(from netip.Addr) bool {
	now := p.now()
	at := network(from)
	b, known := p.tries[at]
	if !known && len(p.tries) >= addressesMax {
		p.forgetLocked(now)
		if len(p.tries) >= addressesMax {
			at = netip.Prefix{} // all further ones share a bucket
			b, known = p.tries[at]
		}
	}
	if !known {
		b = bucket{left: triesMax, at: now}
	}
	b.left = min(triesMax, b.left+now.Sub(b.at).Seconds()/triesEvery.Seconds())
	b.at = now
	ok := b.left >= 1
	if ok {
		b.left--
	}
	p.tries[at] = b
	return ok
}

// forgetLocked drops the addresses whose buckets are full again, if that was not
// done just now.
func (p *passwords) forgetLocked(now time.Time) {
	if now.Sub(p.forgot) < triesEvery {
		return
	}
	p.forgot = now
	for at, b := range p.tries {
		if now.Sub(b.at) >= triesMax*triesEvery {
			delete(p.tries, at)
		}
	}
}

func network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	prefix, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: one bucket for all of them
	}
	return prefix
}
