/** How a command says what it takes, so that asking for an option it never declared does not compile. */
import type { ExitCode } from '../exit.ts'
import type { Context } from '../context.ts'

export type Option = {
  /** `flag` is there or not; `text` once; `list` any number of times; `count` a whole number of at least 1. */
  readonly kind: 'flag' | 'text' | 'list' | 'count'
  /** What stands for the value in the help: `FILE`. Empty for a flag. */
  readonly value: string
  readonly help: string
}
export type Options = Readonly<Record<string, Option>>

/** `many` is at least one, `any` may be none. */
export type Operand = { readonly kind: 'one' | 'many' | 'any'; readonly help: string }
/** By the name that the help shows, in the order of the command line. Only the last may be other than `one`. */
export type Operands = Readonly<Record<string, Operand>>

type Named<T extends Readonly<Record<string, { readonly kind: string }>>, K extends string> = string &
  { [N in keyof T]: T[N]['kind'] extends K ? N : never }[keyof T]

/** What was on the command line, asked for by the names that were declared. */
export type Input<P extends Operands, O extends Options> = {
  readonly one: (operand: Named<P, 'one'>) => string
  readonly many: (operand: Named<P, 'many' | 'any'>) => readonly string[]
  readonly flag: (option: Named<O, 'flag'>) => boolean
  readonly text: (option: Named<O, 'text'>) => string | undefined
  readonly list: (option: Named<O, 'list'>) => readonly string[]
  readonly count: (option: Named<O, 'count'>) => number | undefined
}

/** An input that answers to any name. */
export type AnyInput = {
  readonly one: (operand: string) => string
  readonly many: (operand: string) => readonly string[]
  readonly flag: (option: string) => boolean
  readonly text: (option: string) => string | undefined
  readonly list: (option: string) => readonly string[]
  readonly count: (option: string) => number | undefined
}

/** What a command answers: lines for people and pipes, one document for `--json`. */
export type Answer = {
  readonly lines: readonly string[]
  readonly document: unknown
  /** 1 where the answer is a no, 2 where all that was asked was asked wrongly, 3 where a part could not be found out. */
  readonly exit?: ExitCode
}

export type Spec<P extends Operands, O extends Options> = {
  readonly operands: P
  readonly options: O
  /** Full command lines, as somebody would type them. */
  readonly examples: readonly string[]
  /** What a reader of the help should know beyond the summary. */
  readonly notes?: string
  /** Ends by itself when the run is to end, after what is under way; others are left where they are. */
  readonly drains?: boolean
  readonly run: (context: Context, input: Input<P, O>) => Promise<Answer>
}

/** A command as the program runs it, whatever it declared. */
export type CommandModule = Omit<Spec<Operands, Options>, 'run'> & {
  readonly run: (context: Context, input: AnyInput) => Promise<Answer>
}

export function defineCommand<const P extends Operands, const O extends Options>(spec: Spec<P, O>): CommandModule {
  return spec
}

export function flag(help: string) {
  return { kind: 'flag', value: '', help } as const
}

export function text(value: string, help: string) {
  return { kind: 'text', value, help } as const
}

export function list(value: string, help: string) {
  return { kind: 'list', value, help } as const
}

export function count(value: string, help: string) {
  return { kind: 'count', value, help } as const
}

export function one(help: string) {
  return { kind: 'one', help } as const
}

export function many(help: string) {
  return { kind: 'many', help } as const
}

export function any(help: string) {
  return { kind: 'any', help } as const
}
