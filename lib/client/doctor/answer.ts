import type { HttpResponse } from '../../interface/http.ts'
import type { KmeNotes } from './finding.ts'

/** A KME's answer as far as its shape goes. Never holds key bytes: bodies of keys are read elsewhere. */
export interface Answer {
  readonly status: number
  /** What the body is: an Error of the standard, FastAPI's, other JSON, HTML, nothing, or something else. */
  readonly shape: 'error' | 'fastapi' | 'json' | 'html' | 'empty' | 'other'
  readonly message: string | undefined
  readonly json: unknown
}

const MAX_MESSAGE_CHARS = 120

/** Reads an answer, and notes what tells its maker. */
export function readAnswer(notes: KmeNotes, { status, body, headers }: HttpResponse): Answer {
  const text = Buffer.from(body).toString('utf8')
  if (text.trim() === '') return { status, shape: 'empty', message: undefined, json: undefined }
  const json = parse(text)
  if (json === undefined) {
    const html = /html/i.test(headers['content-type'] ?? '') || /^\s*<(!doctype|html)/i.test(text)
    if (html && status >= 400) notes.traits.add('html-errors')
    return { status, shape: html ? 'html' : 'other', message: undefined, json }
  }
  const { message, detail } = Object(json) as { message?: unknown; detail?: unknown }
  if (typeof message === 'string') return { status, shape: 'error', message: message.slice(0, MAX_MESSAGE_CHARS), json }
  if (detail === undefined) return { status, shape: 'json', message: undefined, json }
  if (status >= 400) notes.traits.add('fastapi-errors')
  return { status, shape: 'fastapi', message: String(detail).slice(0, MAX_MESSAGE_CHARS), json }
}

/** The answer in a few words. */
export function describeAnswer({ status, shape, message }: Answer): string {
  const shapes = {
    error: `with "${message}"`,
    fastapi: 'with {"detail": …}',
    json: 'with other JSON',
    html: 'with HTML',
    empty: 'with nothing',
    other: 'with something that is not JSON',
  }
  return `${status} ${shapes[shape]}`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
