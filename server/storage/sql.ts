/** A prepared statement. */
export type Statement<Parameters extends unknown[], Row> = {
  readonly get: (...parameters: Parameters) => Row | undefined
  readonly all: (...parameters: Parameters) => Row[]
  readonly run: (...parameters: Parameters) => { readonly changes: number; readonly lastInsertRowid: number | bigint }
}

/** What the tables need of the database underneath. */
export type Sql = {
  readonly prepare: <Parameters extends unknown[], Row = unknown>(source: string) => Statement<Parameters, Row>
  /** All of it or nothing, durable when it returns. */
  readonly write: <T>(work: () => T) => T
  /** A read, or a single statement; its errors told as StorageError. */
  readonly run: <T>(work: () => T) => T
  /** The one number a pragma answers with. */
  readonly pragma: (source: string) => number
  readonly pragmaAll: (source: string) => void
}
