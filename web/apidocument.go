package web

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ordered is an object of YAML in the order in which it is written.
type ordered[T any] []entry[T]

type entry[T any] struct {
	key   string
	value T
}

func (o *ordered[T]) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entry[T]{key: n.Content[i].Value}
		if err := n.Content[i+1].Decode(&e.value); err != nil {
			return err
		}
		*o = append(*o, e)
	}
	return nil
}

func (o ordered[T]) get(key string) (value T) {
	for _, e := range o {
		if e.key == key {
			return e.value
		}
	}
	return value
}

// These are the parts of an OpenAPI document that openapi.yaml uses.
type (
	apiDocument struct {
		Info  struct{ Description string }
		Tags  []struct{ Name, Description string }
		Paths ordered[struct {
			Parameters               []apiParameter
			Get, Post, Patch, Delete *apiOperation
		}]
		Components struct {
			Parameters    ordered[apiParameter]
			Headers       ordered[apiParameter]
			RequestBodies ordered[apiBody] `yaml:"requestBodies"`
			Responses     ordered[apiBody]
			Schemas       ordered[apiSchema]
		}
	}
	apiOperation struct {
		Tags                 []string
		Summary, Description string
		Security             []map[string][]string
		Parameters           []apiParameter
		RequestBody          *apiBody `yaml:"requestBody"`
		Responses            ordered[apiBody]
	}
	apiParameter struct {
		Ref                   string `yaml:"$ref"`
		Name, In, Description string
		Required              bool
		Schema                apiSchema
	}
	apiBody struct {
		Ref         string `yaml:"$ref"`
		Description string
		Required    bool
		Headers     ordered[apiParameter]
		Content     ordered[struct{ Schema *apiSchema }]
	}
	apiSchema struct {
		Ref                              string `yaml:"$ref"`
		Type                             any
		Format, Description              string
		Enum                             []string
		Const, Default, Minimum, Maximum any
		MaxLength                        any `yaml:"maxLength"`
		MaxItems                         any `yaml:"maxItems"`
		Required                         []string
		Properties                       ordered[apiSchema]
		Items                            *apiSchema
		Additional                       *apiSchema  `yaml:"additionalProperties"`
		AllOf                            []apiSchema `yaml:"allOf"`
	}
)

// These are what the page shows.
type (
	shownAPI struct {
		About    []shownBlock
		Tags     []shownTag
		Schemas  []shownMember
		Problems []*problemKind
	}
	shownTag struct {
		Name, Title string
		Operations  []shownOperation
	}
	shownOperation struct {
		ID, Method, Path, Summary, Token string
		About, BodyAbout                 []shownBlock
		Parameters                       []shownMember
		Bodies                           []shownBody
		Answers                          []shownAnswer
	}
	shownAnswer struct {
		Status  string
		About   []shownBlock
		Headers []shownMember
		Bodies  []shownBody
	}
	shownBody struct {
		ContentType string
		Type        *shownType
		Members     []shownMember
	}
	shownMember struct {
		Name     string
		Type     shownType
		Required bool
		About    []shownBlock
		Members  []shownMember
	}
	shownType struct{ Text, Ref string } // Ref is the name of a schema
	// shownBlock is a paragraph or a list.
	shownBlock struct {
		Spans []shownSpan
		Items [][]shownSpan
	}
	shownSpan struct {
		Text string
		Code bool
	}
)

func readDocument(text []byte) (*shownAPI, error) {
	var d apiDocument
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	api := &shownAPI{About: blocks(d.Info.Description)}
	for _, tag := range d.Tags {
		shown := shownTag{Name: tag.Name, Title: tag.Description}
		for _, path := range d.Paths {
			for _, op := range []entry[*apiOperation]{
				{"GET", path.value.Get}, {"POST", path.value.Post}, {"PATCH", path.value.Patch},
				{"DELETE", path.value.Delete},
			} {
				if op.value != nil && op.value.section(path.key) == tag.Name {
					shown.Operations = append(shown.Operations, d.operation(op.key, path.key, path.value.Parameters, op.value))
				}
			}
		}
		api.Tags = append(api.Tags, shown)
	}
	for _, s := range d.Components.Schemas {
		api.Schemas = append(api.Schemas, member(s.key, s.value, false))
	}
	return api, nil
}

// section is the tag under which an operation is shown: that of its path, if it has several.
func (o *apiOperation) section(path string) string {
	for _, tag := range o.Tags {
		if strings.HasPrefix(path, "/"+tag) {
			return tag
		}
	}
	return o.Tags[0]
}

func (d *apiDocument) operation(method, path string, shared []apiParameter, o *apiOperation) shownOperation {
	id := strings.ToLower(method) + strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(path)
	shown := shownOperation{
		ID: id, Method: method, Path: path, Summary: o.Summary, Token: o.token(), About: blocks(o.Description),
	}
	for _, p := range append(shared, o.Parameters...) {
		if p.Ref != "" {
			p = d.Components.Parameters.get(last(p.Ref))
		}
		m := member(p.Name, p.Schema, p.Required)
		m.About = append(blocks(p.Description), m.About...)
		m.Type.Text += ", in the " + p.In
		shown.Parameters = append(shown.Parameters, m)
	}
	if o.RequestBody != nil {
		body := *o.RequestBody
		if body.Ref != "" {
			body = d.Components.RequestBodies.get(last(body.Ref))
		}
		about := body.Description
		if !body.Required {
			about = "Optional. " + about
		}
		shown.BodyAbout, shown.Bodies = blocks(about), body.bodies()
	}
	for _, r := range o.Responses {
		body := r.value
		if body.Ref != "" {
			body = d.Components.Responses.get(last(body.Ref))
		}
		a := shownAnswer{Status: r.key, About: blocks(body.Description), Bodies: body.bodies()}
		for _, h := range body.Headers {
			if h.value.Ref != "" {
				h.value = d.Components.Headers.get(last(h.value.Ref))
			}
			m := member(h.key, h.value.Schema, h.value.Required)
			m.About = blocks(h.value.Description)
			a.Headers = append(a.Headers, m)
		}
		shown.Answers = append(shown.Answers, a)
	}
	return shown
}

// token says in words which token an operation needs.
func (o *apiOperation) token() string {
	scope, open := "", len(o.Security) == 0
	for _, way := range o.Security {
		open = open || len(way) == 0
		for _, scopes := range way {
			scope = strings.Join(scopes, ", ")
		}
	}
	switch {
	case len(o.Security) == 0:
		return "No token."
	case open && scope == "":
		return "A token is optional."
	case open:
		return "A token is optional; for private streams it needs the scope " + scope + "."
	case scope == "":
		return "Any token."
	}
	return "A token with the scope " + scope + "."
}

func (b apiBody) bodies() (list []shownBody) {
	for _, c := range b.Content {
		shown := shownBody{ContentType: c.key}
		if s := c.value.Schema; s != nil {
			shown.Type, shown.Members = new(s.shown()), s.members()
		}
		list = append(list, shown)
	}
	return list
}

func member(name string, s apiSchema, required bool) shownMember {
	return shownMember{name, s.shown(), required, blocks(s.Description), s.members()}
}

// members are those of an object, also of the objects in a list. What has a name of its own is shown there.
func (s apiSchema) members() (list []shownMember) {
	for _, p := range s.Properties {
		list = append(list, member(p.key, p.value, slices.Contains(s.Required, p.key)))
	}
	for _, part := range s.AllOf {
		list = append(list, part.members()...)
	}
	if s.Items != nil {
		list = append(list, s.Items.members()...)
	}
	if s.Additional != nil {
		list = append(list, s.Additional.members()...)
	}
	return list
}

// shown is a schema in a few words.
func (s apiSchema) shown() shownType {
	t := shownType{}
	switch {
	case s.Ref != "":
		t = shownType{last(s.Ref), last(s.Ref)}
	case s.Items != nil:
		t = s.Items.shown()
		t.Text = "list of " + t.Text
	case s.Additional != nil:
		t = s.Additional.shown()
		t.Text = "object of " + t.Text
	case len(s.AllOf) > 0:
		t = s.AllOf[0].shown()
		t.Text += " with more"
	case len(s.Enum) > 0:
		t.Text = strings.Join(s.Enum, " | ")
	case s.Const != nil:
		t.Text = fmt.Sprint(s.Const)
	default:
		t.Text = types(s.Type)
	}
	if s.Format != "" {
		t.Text += " (" + s.Format + ")"
	}
	for _, limit := range []struct {
		words string
		value any
	}{
		{"from %v", s.Minimum}, {"to %v", s.Maximum}, {"at most %v characters", s.MaxLength},
		{"at most %v", s.MaxItems}, {"default %v", s.Default},
	} {
		if limit.value != nil {
			t.Text += ", " + fmt.Sprintf(limit.words, limit.value)
		}
	}
	return t
}

func types(of any) string {
	switch v := of.(type) {
	case nil:
		return "any"
	case []any:
		names := make([]string, len(v))
		for i, name := range v {
			names[i] = fmt.Sprint(name)
		}
		return strings.Join(names, " | ")
	}
	return fmt.Sprint(of)
}

// last is the name that a reference ends with.
func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// blocks reads the little of Markdown that openapi.yaml uses: paragraphs, lists, and code.
func blocks(text string) (list []shownBlock) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		switch lines, isList := strings.CutPrefix(paragraph, "- "); {
		case paragraph == "":
		case isList:
			var b shownBlock
			for item := range strings.SplitSeq(lines, "\n- ") {
				b.Items = append(b.Items, spans(item))
			}
			list = append(list, b)
		default:
			list = append(list, shownBlock{Spans: spans(paragraph)})
		}
	}
	return list
}

func spans(text string) (list []shownSpan) {
	for i, part := range strings.Split(text, "`") {
		if part != "" {
			list = append(list, shownSpan{part, i%2 == 1})
		}
	}
	return list
}
