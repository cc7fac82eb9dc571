// What the function h of ../../static/js/dom.js takes as attributes.

type AttributeValue = string | number | boolean | null | undefined;

type ElementHandlers = {
  [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => unknown;
};

interface ElementAttributes extends ElementHandlers {
  [name: `aria-${string}` | `data-${string}`]: AttributeValue;
  autocomplete?: AttributeValue;
  class?: AttributeValue;
  datetime?: AttributeValue;
  height?: AttributeValue;
  hidden?: AttributeValue;
  href?: AttributeValue;
  id?: AttributeValue;
  lang?: AttributeValue;
  max?: AttributeValue;
  min?: AttributeValue;
  minlength?: AttributeValue;
  name?: AttributeValue;
  part?: AttributeValue;
  required?: AttributeValue;
  role?: AttributeValue;
  scope?: AttributeValue;
  src?: AttributeValue;
  tabindex?: AttributeValue;
  title?: AttributeValue;
  type?: AttributeValue;
  value?: AttributeValue;
  width?: AttributeValue;
}
