// The expression's editor: PromQL with completion, help and errors in place.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { forceLinting, linter, lintKeymap, type Diagnostic } from '@codemirror/lint'
import { Annotation, Compartment, EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { useEffect, useRef } from 'preact/hooks'

const colours = HighlightStyle.define([
  { tag: tags.number, color: 'var(--code-number)' },
  { tag: tags.string, color: 'var(--code-string)' },
  { tag: tags.keyword, color: 'var(--code-keyword)' },
  { tag: tags.function(tags.variableName), color: 'var(--code-function)' },
  { tag: tags.labelName, color: 'var(--code-label)' },
  { tag: tags.operator, color: 'var(--code-keyword)' },
  { tag: tags.modifier, color: 'var(--code-keyword)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
])

// refused marks that the server's words have changed.
const refused = Annotation.define<boolean>()

// given marks text that comes from outside, not from typing.
const given = Annotation.define<boolean>()

interface Props {
  value: string
  label: string
  error: string // the server's words of the expression that was asked
  onRun(expr: string): void
  onChange(expr: string): void
}

// promql asks for the names of the last hours by itself, relative to the page.
const promql = () =>
  new PromQLExtension().setComplete({
    remote: { url: location.pathname.replace(/\/[^/]*$/, ''), httpMethod: 'GET', cache: { maxAge: 60000 } },
    maxMetricsMetadata: 10000,
  })

// errorAt finds the place, as an offset, that the server names in "1:33: parse error".
export function errorAt(message: string, text: string): number | null {
  const found = /\b(\d+):(\d+): parse error/.exec(message)
  if (!found) return null
  const before = text.split('\n').slice(0, Number(found[1]) - 1).reduce((n, line) => n + line.length + 1, 0)
  return Math.min(text.length, before + Number(found[2]) - 1)
}

// mistakes marks where the server found one, while the text is the one it was asked.
function mistakes({ error, text }: { error: string; text: string }, now: string): Diagnostic[] {
  const at = now === text ? errorAt(error, text) : null
  if (at === null) return []
  const from = Math.max(0, Math.min(at, text.length - 1))
  return [{ from, to: Math.min(from + 1, text.length), severity: 'error', message: error.replace(/^.*parse error: /, '') }]
}

export function Editor({ value, label, error, onRun, onChange }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | null>(null)
  const calls = useRef({ onRun, onChange })
  calls.current = { onRun, onChange }
  const mistake = useRef({ error: '', text: '' })
  useEffect(() => {
    const run = (v: EditorView) => {
      calls.current.onRun(v.state.doc.toString())
      return true
    }
    const language = new Compartment()
    view.current = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(), indentOnInput(), bracketMatching(), closeBrackets(), autocompletion(), EditorView.lineWrapping,
          syntaxHighlighting(colours), placeholder('PromQL, such as rate(http_requests_total[5m])'),
          EditorView.contentAttributes.of({ 'aria-label': label }),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
          // Beside PromQL's own linter, which would take away what is set without one.
          linter((v) => mistakes(mistake.current, v.state.doc.toString()), { needsRefresh: (u) => u.transactions.some((t) => t.annotation(refused)) }),
          language.of(promql().asExtension()),
          Prec.high(keymap.of([{ key: 'Enter', run }, { key: 'Mod-Enter', run }])),
          keymap.of([{ key: 'Shift-Enter', run: insertNewlineAndIndent }]),
          EditorView.updateListener.of((u) => {
            if (u.docChanged && !u.transactions.some((t) => t.annotation(given))) calls.current.onChange(u.state.doc.toString())
          }),
        ],
      }),
    })
    return () => view.current?.destroy()
  }, [])
  useEffect(() => {
    const v = view.current
    // Who types is ahead of what has been rendered.
    if (!v || v.hasFocus || v.state.doc.toString() === value) return
    v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value }, annotations: given.of(true) })
  }, [value])
  useEffect(() => {
    const v = view.current
    if (!v) return
    mistake.current = { error, text: v.state.doc.toString() }
    v.dispatch({ annotations: refused.of(true) })
    forceLinting(v)
  }, [error])
  return <div class="editor" ref={host} />
}
