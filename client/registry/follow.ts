import { type Channel, whyRefused } from './destination.ts'
import { printable, RegistryError } from './errors.ts'
import { type Deadline, drain, type Http, type Request, type Response } from './http.ts'

/**
 * Sends a request and goes where its answers point, at most `most` times. The login stays behind at the first step to
 * another origin, and is not taken up again on the way back.
 */
export async function follow(
  http: Http,
  channel: Channel,
  request: Request,
  most: number,
  deadline: Deadline,
): Promise<Response> {
  let current = request
  for (let hops = 0; ; hops++) {
    const response = await http.send(current, deadline)
    if (!REDIRECTS.has(response.status)) return response
    await drain(response)
    const to = target(response)
    refuse(channel, current, to, hops >= most ? `that is more than ${most} redirects` : undefined)
    current = {
      ...current,
      url: to,
      headers: sameOrigin(current.url, to) ? current.headers : anonymous(current.headers),
    }
  }
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

function target(response: Response): URL {
  const location = response.header('location') ?? ''
  if (location !== '' && URL.canParse(location, response.url.href)) return new URL(location, response.url)
  const { host } = response.url
  const to = printable(location, 80) || 'nowhere'
  throw new RegistryError('REDIRECT_REFUSED', { host, to, why: 'it is no address' })
}

/** A redirect's query is not shown: object stores put a key to the content there. */
function refuse(channel: Channel, { url, method }: Request, to: URL, tooMany: string | undefined): void {
  const why = tooMany ?? (method === 'POST' ? 'a form is not sent on' : whyRefused(channel, url, to))
  if (why !== undefined) throw new RegistryError('REDIRECT_REFUSED', { host: url.host, to: place(to), why })
}

function place(to: URL): string {
  return printable(to.host === '' ? to.protocol : to.origin)
}

function sameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin
}

function anonymous({ authorization: _, ...rest }: Request['headers']): Request['headers'] {
  return rest
}
