package siaran

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// EmbedSites are the sites whose pages may have the player of a stream, as origins such as https://example.org or
// https://*.example.org, separated by spaces. Empty stands for every site, and [NoSites] for none.
type EmbedSites string

// NoSites is the EmbedSites of a stream that is watched on the pages of its own server only.
const NoSites EmbedSites = "none"

const maxEmbedSites = 20

// ErrEmbedSites is the error for a list of sites that cannot be used. What is wrong is in its text.
var ErrEmbedSites = errors.New(
	"embedSites must be a list of sites such as https://example.org or https://*.example.org")

// ParseEmbedSites reads a list of sites. ["*"] stands for every site, and an empty list for none. It fails with
// ErrEmbedSites.
func ParseEmbedSites(list []string) (EmbedSites, error) {
	if len(list) == 0 {
		return NoSites, nil
	}
	if slices.Equal(list, []string{"*"}) {
		return "", nil
	}
	if len(list) > maxEmbedSites {
		return "", fmt.Errorf("%w, with at most %d of them", ErrEmbedSites, maxEmbedSites)
	}
	sites := make([]string, len(list))
	for i, text := range list {
		site, ok := parseSite(text)
		if !ok {
			return "", fmt.Errorf("%w, without a path; %.100q is none (write names with other letters as xn--...)",
				ErrEmbedSites, text)
		}
		sites[i] = site
	}
	return EmbedSites(strings.Join(sites, " ")), nil
}

// parseSite returns an origin in the form in which browsers send it (RFC 6454 section 6.2), with a star for all
// subdomains perhaps.
func parseSite(text string) (string, bool) {
	scheme, host, _ := strings.Cut(strings.ToLower(strings.TrimSpace(text)), "://")
	host = strings.TrimSuffix(host, "/")
	name, star := strings.CutPrefix(host, "*.")
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-:[]", r)
	}
	if scheme != "https" && scheme != "http" || name == "" || len(name) > 255 || strings.ContainsFunc(name, odd) {
		return "", false
	}
	u, err := url.Parse(scheme + "://" + name)
	if err != nil || u.Host != name || u.Hostname() == "" || strings.HasSuffix(name, ":") {
		return "", false
	}
	if u.Port() == map[string]string{"https": "443", "http": "80"}[scheme] {
		name = strings.TrimSuffix(name, ":"+u.Port())
	}
	if star {
		name = "*." + name
	}
	return scheme + "://" + name, true
}

// List is the inverse of ParseEmbedSites.
func (s EmbedSites) List() []string {
	switch s {
	case "":
		return []string{"*"}
	case NoSites:
		return []string{}
	}
	return strings.Fields(string(s))
}

// Allow reports whether a page of a site may have the player. origin is as browsers send it.
func (s EmbedSites) Allow(origin string) bool {
	if s == "" {
		return true
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(s.List(), func(site string) bool {
		scheme, domain, star := strings.Cut(site, "*")
		if !star {
			return site == origin
		}
		rest, ok := strings.CutPrefix(origin, scheme)
		return ok && strings.HasSuffix(rest, domain) && len(rest) > len(domain)
	})
}
