package redisdb

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	schemeSentinel = "redis-sentinel"
	schemeCluster  = "redis-cluster"
)

// What may be wrong with a URL. The lines are fixed: where a password isn't
// encoded, any part of the URL may be a part of it.
var (
	errForm        = errors.New("must be a URL such as redis://localhost:6379/0")
	errScheme      = errors.New("the scheme is none of redis, rediss, redis-sentinel, redis-cluster")
	errSpace       = errors.New("must hold no white space; in a password a space is written as %20")
	errEncoding    = errors.New("user name and password must be percent-encoded: % as %25, / as %2F, ? as %3F, # as %23, @ as %40")
	errHost        = errors.New("needs one host, or none for localhost, as host:6379")
	errDatabase    = errors.New("the database must be a number from 0, as in /0")
	errClusterDB   = errors.New("a cluster has no database but 0")
	errMaster      = errors.New("redis-sentinel needs the master's name before '@', of letters, digits and .-_ only; passwords are options, as in ?password=")
	errOptionForm  = errors.New("the options after '?' must be written as name=value, percent-encoded: % as %25, & as %26")
	errOption      = errors.New("an option after '?' is unknown, or a password's & isn't written as %26")
	errCredentials = errors.New("user name and password must be given once, before '@' or as options")
)

// address is what a URL says of where Redis is.
type address struct {
	scheme   string
	single   *redis.Options // redis and rediss: all there is to say
	hosts    []string
	master   string
	db       int
	tls      bool
	username string
	password string

	sentinelUsername string
	sentinelPassword string
}

func parse(rawURL string) (*address, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	switch {
	case !ok:
		return nil, errForm
	case !slices.Contains([]string{"redis", "rediss", schemeSentinel, schemeCluster}, scheme):
		return nil, errScheme
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, errSpace
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	// An '@' here, or any '#', is what becomes of a password with a '/', a '?'
	// or a '#' in it.
	if strings.ContainsAny(tail, "@#") {
		return nil, errEncoding
	}
	path, query, _ := strings.Cut(tail, "?")
	user, hosts := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, hosts = authority[:at], authority[at+1:]
	}
	credentials, err := url.Parse("redis://" + user + "@host")
	if err != nil {
		return nil, errEncoding
	}
	db, err := database(path)
	if err != nil {
		return nil, err
	}
	options, err := optionsOf(query)
	if err != nil {
		return nil, err
	}
	a := &address{scheme: scheme, db: db}
	switch scheme {
	case schemeSentinel:
		err = a.sentinels(user, hosts, options)
	case schemeCluster:
		err = a.cluster(credentials.User, hosts, options)
	default:
		err = a.server(authority+path, hosts, options)
	}
	return a, err
}

// server has go-redis read a URL of redis or rediss. Its errors quote, so what
// is wrong is looked for before.
func (a *address) server(location, hosts string, options []option) error {
	u, err := url.Parse(a.scheme + "://" + hosts)
	if err != nil || strings.Contains(hosts, ",") || u.Port() != "" && !isPort(u.Port()) {
		return errHost
	}
	query := url.Values{}
	for _, o := range options {
		alone := url.Values{o.name: {o.value}}
		if _, err := redis.ParseURL(a.scheme + "://localhost?" + alone.Encode()); err != nil {
			return o.refused()
		}
		query.Add(o.name, o.value)
	}
	if a.single, err = redis.ParseURL(a.scheme + "://" + location + "?" + query.Encode()); err != nil {
		return errForm
	}
	if a.single.DB < 0 { // by the option
		return errDatabase
	}
	return nil
}

// masterName is what Redis takes for the name of a master.
var masterName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (a *address) sentinels(master, hosts string, options []option) error {
	if !masterName.MatchString(master) {
		return errMaster
	}
	a.master = master
	if err := a.several(hosts); err != nil {
		return err
	}
	return a.apply(options, map[string]*string{
		"username": &a.username, "password": &a.password,
		"sentinel_username": &a.sentinelUsername, "sentinel_password": &a.sentinelPassword,
	})
}

func (a *address) cluster(credentials *url.Userinfo, hosts string, options []option) error {
	a.username = credentials.Username()
	a.password, _ = credentials.Password()
	if a.db != 0 {
		return errClusterDB
	}
	if err := a.several(hosts); err != nil {
		return err
	}
	return a.apply(options, map[string]*string{"username": &a.username, "password": &a.password})
}

func (a *address) several(hosts string) error {
	a.hosts = strings.Split(hosts, ",")
	for _, hostport := range a.hosts {
		if host, port, err := net.SplitHostPort(hostport); err != nil || host == "" || !isPort(port) {
			return fmt.Errorf("%s needs hosts as h1:p,h2:p", a.scheme)
		}
	}
	return nil
}

// apply sets what the options name.
func (a *address) apply(options []option, known map[string]*string) error {
	for _, o := range options {
		into, ok := known[o.name]
		switch {
		case ok && *into != "":
			return errCredentials
		case ok:
			*into = o.value
		case o.name == "tls" && (o.value == "true" || o.value == "false"):
			a.tls = o.value == "true"
		default:
			return o.refused()
		}
	}
	return nil
}

func database(path string) (int, error) {
	digits := strings.TrimPrefix(path, "/")
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(digits)
	if err != nil || strings.Trim(digits, "0123456789") != "" { // Atoi takes signs too
		return 0, errDatabase
	}
	return n, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// option is one of a URL's options. Its name may be shown unless a password
// comes before it, whose '&' may have begun it.
type option struct {
	name, value string
	show        bool
}

var plainName = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)

// optionsOf reads a query in its order. A '+' is a plus here, unlike in forms:
// generated passwords hold it.
func optionsOf(query string) ([]option, error) {
	if query == "" {
		return nil, nil
	}
	var options []option
	show := true
	for part := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(part, "=")
		name, nameErr := url.PathUnescape(name)
		value, valueErr := url.PathUnescape(value)
		if !ok || nameErr != nil || valueErr != nil {
			return nil, errOptionForm
		}
		options = append(options, option{name: name, value: value, show: show && plainName.MatchString(name)})
		show = show && !strings.Contains(name, "pass")
	}
	return options, nil
}

func (o option) refused() error {
	if !o.show {
		return errOption
	}
	return fmt.Errorf("option %q is unknown here or has a value that can't be read", o.name)
}
