/** An image that a file names, and where. */
import { CommandError } from '../commands/errors.ts'

export type Named = {
  readonly file: string
  readonly line: number
  /** With its variables replaced. */
  readonly image: string
  /** What to replace so that the file says a digest; undefined where nothing of it is the image alone. */
  readonly place: Place | undefined
}

/** Offsets in the file's text. `quote` is put around again. */
export type Place = { readonly start: number; readonly end: number; readonly quote: '' | '"' | "'" }

/** Values for variables that a file leaves open. */
export type Values = ReadonlyMap<string, string>

export function malformed(file: string, line: number, why: string, cause?: unknown): CommandError<'FILE_MALFORMED'> {
  return new CommandError('FILE_MALFORMED', { path: `${file}:${line}`, why }, cause === undefined ? {} : { cause })
}

export const TEMPLATE = 'it is a template, which has to be rendered first: helm template, kustomize build'

const VARIABLE = /\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^{}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))|\$/g

/**
 * `$NAME`, `${NAME}`, and `${NAME:-otherwise}` with its relatives, as Dockerfiles and compose files have them. Throws
 * FILE_MALFORMED where a value is missing: what an image is then depends on who builds.
 */
export function expand(text: string, values: Values, where: { readonly file: string; readonly line: number }): string {
  return text.replaceAll(VARIABLE, (all: string, braced?: string, how?: string, word?: string, bare?: string) => {
    if (all === '$$') return '$'
    const name = braced ?? bare
    if (name === undefined) throw malformed(where.file, where.line, `${text} has a $ that begins no variable`)
    const value = values.get(name)
    const isSet = value !== undefined && !(how?.startsWith(':') === true && value === '')
    if (how?.endsWith('+') === true) return isSet ? (word ?? '') : ''
    if (isSet) return value
    if (how?.endsWith('-') === true) return word ?? ''
    throw malformed(where.file, where.line, `${text} depends on ${name}; give --arg ${name}=VALUE`)
  })
}
