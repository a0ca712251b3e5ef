package simulator

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// onPremLife is how long a login lasts.
const onPremLife = 7 * 24 * time.Hour

// onPremDate is the form of expires_after, which is no RFC 3339.
const onPremDate = "2006-01-02 15:04:05-07:00"

func (p *onPrem) password(a *account) (password string, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if password, changed = p.passwords[a]; changed {
		return password, true
	}
	return a.Password, false
}

// login issues one more token; the others stay good. The first login of a new
// stack has to change the password.
func (p *onPrem) login(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	name, given, _ := r.BasicAuth()
	a := p.byKey(onPremUser(name))
	var password string
	var changed bool
	if a != nil {
		password, changed = p.password(a)
	}
	if a == nil || name == "" || given == "" || given != password {
		p.s.unauthorized.Add(1)
		p.refuse(refusal{reason: reasonUnauthorized}).write(w)
		return
	}
	if !a.spend(p.s.opts.Now, time.Second/20, 60) {
		p.refuse(refusal{reason: reasonThrottled}).write(w)
		return
	}
	renewed := ""
	if len(body) > 0 {
		check := &checker{}
		o := check.decode(body)
		renewed = o.text("new_password", 0, unlimited)
		if renewed != "" && !strongPassword(renewed) {
			check.fail(fieldInvalid, "new_password", "must have 8 to 64 characters, among them a digit, an upper and a lower case letter and a special character")
		}
		o.done()
		if check.first != nil {
			p.refuse(onPremRefusal(check.first, 0)).write(w)
			return
		}
	}
	switch {
	case renewed != "":
		p.mu.Lock()
		p.passwords[a] = renewed
		p.mu.Unlock()
	case a.FirstLogin && !changed:
		p.refuse(refusal{reason: reasonUnauthorized, code: onPremPassword}).write(w)
		return
	}
	token, expires := p.logins.issue(a.ID, p.s.opts.Now(), orDefault(p.s.opts.TokenLife, onPremLife))
	onPremAnswer(http.StatusOK, "users", []map[string]string{
		{"token": token, "expires_after": expires.UTC().Format(onPremDate)},
	}).write(w)
}

func strongPassword(s string) bool {
	n := utf8.RuneCountInString(s)
	has := func(is func(rune) bool) bool { return strings.ContainsFunc(s, is) }
	return n >= 8 && n <= 64 && has(unicode.IsDigit) && has(unicode.IsUpper) && has(unicode.IsLower) &&
		has(func(r rune) bool { return !unicode.IsDigit(r) && !unicode.IsLetter(r) })
}

// loggedIn is the account of a token from a login, nil if there is none. A
// token that has expired is forgotten with its first use.
func (p *onPrem) loggedIn(token string) *account {
	id, good := p.logins.owner(token, p.s.opts.Now())
	if !good {
		p.logins.revoke(token)
		return nil
	}
	return p.s.byID[id]
}

func (p *onPrem) logout(w http.ResponseWriter, r *http.Request) {
	token := bearer(r)
	a := p.loggedIn(token)
	switch {
	case a == nil:
		p.s.unauthorized.Add(1)
		p.refuse(refusal{reason: reasonUnauthorized}).write(w)
		return
	case p.s.opts.LogoutOne:
		p.logins.revoke(token)
	default:
		p.logins.expire(a.ID)
	}
	onPremAnswer(http.StatusOK, "", nil).write(w)
}

func (p *onPrem) expire(a *account) { p.logins.expire(a.ID) }
