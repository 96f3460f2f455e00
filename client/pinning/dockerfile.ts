/** The images that a Dockerfile names: its bases, what it copies from, what it mounts, and the frontend that reads it. */
import { expand, malformed, TEMPLATE } from './named.ts'
import type { Named, Place, Values } from './named.ts'

/** What another one does nobody here knows; it may bring an image along. */
const KNOWN: ReadonlySet<string> = new Set(
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(
    ' ',
  ),
)

/** An instruction on one line, however many it was written on. */
type Instruction = {
  readonly name: string
  readonly words: readonly Word[]
  readonly line: number
}
type Word = { readonly text: string; readonly start: number; readonly end: number }

/** Throws FILE_MALFORMED. `given` are what `--build-arg` would say. */
export function imagesInDockerfile(text: string, file: string, given: Values): readonly Named[] {
  const { instructions, syntax } = readInstructions(text, file)
  const found: Named[] = syntax === undefined ? [] : [{ ...syntax.at, file, image: syntax.image }]
  if (!instructions.some(({ name }) => name === 'FROM')) throw malformed(file, 1, 'it has no FROM')
  const stages = new Set<string>()
  const defaults = new Map<string, { readonly value: string; readonly place: Place }>()
  let bases = 0
  const add = (line: number, image: string, place: Place | undefined) => {
    if (image.includes('{{')) throw malformed(file, line, TEMPLATE)
    if (image === 'scratch' || stages.has(image.toLowerCase())) return
    found.push({ file, line, image, place })
  }
  for (const { name, words, line } of instructions) {
    const where = { file, line }
    if (name === 'ARG' && bases === 0) {
      for (const word of words) takeDefault(word, { given, defaults, where })
    } else if (name === 'FROM') {
      const [base, as, stage] = words.filter(({ text: each }) => !each.startsWith('--'))
      if (base === undefined) throw malformed(file, line, 'FROM names no image')
      const values = new Map([...[...defaults].map(([key, { value }]) => [key, value] as const), ...given])
      add(line, expand(unquoted(base.text).bare, values, where), placeOf(base, defaults, given))
      stages.add(String(bases))
      bases += 1
      if (as?.text.toUpperCase() === 'AS' && stage !== undefined) stages.add(stage.text.toLowerCase())
    } else {
      for (const { image, place } of sources(name, words)) {
        if (image.includes('$')) throw malformed(file, line, `${image}: docker replaces no variable here`)
        add(line, image, place)
      }
    }
  }
  return found
}

type Defaults = Map<string, { readonly value: string; readonly place: Place }>

function takeDefault(
  { text, end }: Word,
  { given, defaults, where }: { given: Values; defaults: Defaults; where: { file: string; line: number } },
): void {
  const [, name = '', written] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text) ?? []
  if (written === undefined) return
  const { quote, bare } = unquoted(written)
  const values = new Map([...[...defaults].map(([key, { value }]) => [key, value] as const), ...given])
  const place = { start: end - written.length, end, quote }
  defaults.set(name, { value: expand(bare, values, where), place })
}

function unquoted(text: string): { readonly quote: Place['quote']; readonly bare: string } {
  const [, quote, bare = text] = /^(["'])(.*)\1$/s.exec(text) ?? []
  return { quote: quote === '"' || quote === "'" ? quote : '', bare }
}

/** A variable that is the whole image is written where its default is. */
function placeOf({ text, start, end }: Word, defaults: Defaults, given: Values): Place | undefined {
  const { quote, bare } = unquoted(text)
  if (!text.includes('$')) return { start, end, quote }
  const [, braced, plain] = /^\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))$/.exec(bare) ?? []
  const name = braced ?? plain ?? ''
  return given.has(name) ? undefined : defaults.get(name)?.place
}

/** `COPY --from=IMAGE` and `RUN --mount=type=bind,from=IMAGE`. */
function* sources(name: string, words: readonly Word[]): Generator<{ readonly image: string; readonly place: Place }> {
  for (const { text, end } of words) {
    if (!text.startsWith('--')) return
    const pattern = name === 'RUN' ? /^--mount=(?:.*,)?from=([^,]*)/ : /^--from=(.*)$/
    const match = name === 'RUN' || name === 'COPY' || name === 'ADD' ? pattern.exec(text) : null
    const image = match?.[1]
    if (match === null || image === undefined || image === '') continue
    const start = end - text.length + match[0].length - image.length
    yield { image, place: { start, end: start + image.length, quote: '' } }
  }
}

type Syntax = { readonly image: string; readonly at: { readonly line: number; readonly place: Place } }

function readInstructions(
  text: string,
  file: string,
): {
  readonly instructions: readonly Instruction[]
  readonly syntax: Syntax | undefined
} {
  const instructions: Instruction[] = []
  const lines = [...linesOf(text)]
  const directives = readDirectives(lines)
  const { escape } = directives
  for (let i = 0; i < lines.length; i++) {
    const first = lines[i]
    if (first === undefined || isBlank(first.text)) continue
    const parts: Word[] = []
    for (; ; i++) {
      const line = lines[i]
      if (line === undefined) break
      if (isBlank(line.text)) continue // a comment between continued lines is none of them
      const body = line.text.trimEnd()
      const goesOn = body.endsWith(escape)
      parts.push({ text: goesOn ? body.slice(0, -1) : body, start: line.start, end: line.start + body.length })
      if (!goesOn) break
    }
    const words = parts.flatMap(wordsOf)
    const [verb, ...rest] = words[0]?.text.toUpperCase() === 'ONBUILD' ? words.slice(1) : words
    const name = verb?.text.toUpperCase() ?? ''
    if (!KNOWN.has(name))
      throw malformed(file, first.line, `${verb?.text ?? 'ONBUILD'} is no instruction of a Dockerfile`)
    instructions.push({ name, words: rest, line: first.line })
    if (!['RUN', 'COPY', 'ADD'].includes(name)) continue
    const end = afterHeredocs(lines, i, rest)
    if (end === undefined) throw malformed(file, first.line, 'a heredoc in it has no end')
    i = end
  }
  return { instructions, syntax: directives.syntax }
}

type Line = { readonly text: string; readonly start: number; readonly line: number }

function* linesOf(text: string): Generator<Line> {
  let start = 0
  let line = 0
  for (const part of text.split('\n')) {
    line += 1
    yield { text: part.replace(/\r$/, ''), start, line }
    start += part.length + 1
  }
}

function isBlank(text: string): boolean {
  return /^\s*(?:#.*)?$/.test(text)
}

/** `# escape=` and `# syntax=` count before anything else, also before a comment. */
function readDirectives(lines: readonly Line[]): { readonly escape: string; readonly syntax: Syntax | undefined } {
  let escape = '\\'
  let syntax: Syntax | undefined
  for (const { text, start, line } of lines) {
    if (line === 1 && /^\s*#!/.test(text)) continue // for a shell that runs the file
    const [all, before = '', name = '', value = ''] =
      /^(\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*)(\S+)(?:\s.*)?$/.exec(text) ?? []
    if (all === undefined) break
    const at = start + before.length
    if (name.toLowerCase() === 'escape') escape = value
    if (name.toLowerCase() === 'syntax') {
      syntax = { image: value, at: { line, place: { start: at, end: at + value.length, quote: '' } } }
    }
  }
  return { escape, syntax }
}

function wordsOf({ text, start }: Word): readonly Word[] {
  return [...text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map((match) => ({
    text: match[0],
    start: start + match.index,
    end: start + match.index + match[0].length,
  }))
}

/** The last line of what an instruction brings along: `RUN <<EOF`. undefined where that never ends. */
function afterHeredocs(lines: readonly Line[], from: number, words: readonly Word[]): number | undefined {
  let i = from
  for (const { text } of words) {
    const [, dash, name] = /^\d*<<(-?)([^<]+)$/.exec(text) ?? []
    if (name === undefined) continue
    const { bare } = unquoted(name)
    const isEnd = (line: string) => (dash === '-' ? line.replace(/^\t+/, '') : line) === bare
    i = lines.findIndex((line, k) => k > i && isEnd(line.text))
    if (i < 0) return undefined
  }
  return i
}
