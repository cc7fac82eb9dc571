package listing

import (
	"container/list"

	"siaran"
)

// lru holds at most max values by name. A new one takes the place of the one that was not asked for the longest.
type lru[V any] struct {
	max    int
	byName map[siaran.StreamName]*list.Element
	order  *list.List // of lruItem[V], the most recent first
}

type lruItem[V any] struct {
	name  siaran.StreamName
	value V
}

func newLRU[V any](max int) *lru[V] {
	return &lru[V]{max: max, byName: make(map[siaran.StreamName]*list.Element), order: list.New()}
}

func (l *lru[V]) get(name siaran.StreamName) (value V, ok bool) {
	e := l.byName[name]
	if e == nil {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruItem[V]).value, true
}

func (l *lru[V]) put(name siaran.StreamName, value V) {
	item := lruItem[V]{name, value}
	if e := l.byName[name]; e != nil {
		e.Value = item
		l.order.MoveToFront(e)
		return
	}
	if l.order.Len() >= l.max {
		l.drop(l.order.Back().Value.(lruItem[V]).name)
	}
	l.byName[name] = l.order.PushFront(item)
}

func (l *lru[V]) drop(name siaran.StreamName) {
	if e := l.byName[name]; e != nil {
		l.order.Remove(e)
		delete(l.byName, name)
	}
}
