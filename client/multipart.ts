import { randomName } from '../keys/random.ts'

/** A body of `multipart/form-data` (RFC 7578). The files go out as they are: nothing is copied. */
export type Multipart = { readonly contentType: string; readonly body: readonly Uint8Array[] }

/** `name` becomes the part's file name; it must hold nothing that would end a quoted string. */
export type Part = { readonly name: string; readonly contentType: string; readonly bytes: Uint8Array }

export function multipart(field: string, parts: readonly Part[]): Multipart {
  const boundary = `tagseal-${randomName()}`
  const body = parts.flatMap(({ name, contentType, bytes }) => {
    if (/["\r\n\\]/.test(name)) throw new Error(`not a part name: ${name}`)
    const disposition = `form-data; name="${field}"; filename="${name}"`
    const head = `--${boundary}\r\ncontent-disposition: ${disposition}\r\ncontent-type: ${contentType}\r\n\r\n`
    return [Buffer.from(head), bytes, Buffer.from('\r\n')]
  })
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: [...body, Buffer.from(`--${boundary}--\r\n`)],
  }
}
