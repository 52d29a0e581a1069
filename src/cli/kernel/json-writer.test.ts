import fc from 'fast-check'
import { expect, test } from 'vitest'
import { JsonWriter } from './json-writer.ts'

function write(json: JsonWriter, value: unknown): void {
  if (Array.isArray(value)) {
    json.array(() => {
      for (const one of value) write(json, one)
    })
  } else if (typeof value === 'string') json.string(value)
  else if (typeof value === 'object' && value !== null) {
    json.object(() => {
      for (const [name, member] of Object.entries(value)) {
        json.name(name)
        write(json, member)
      }
    })
  } else json.raw(String(value))
}

test('what is written reads as the same, compact and pretty', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.boolean(), (value, isPretty) => {
      const json = new JsonWriter(isPretty)
      write(json, value)
      expect(JSON.parse(json.text)).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test("pretty is bpftool's", () => {
  const json = new JsonWriter(true)
  json.array(() => {
    json.object(() => {
      json.members({ id: 1, name: 'a' })
      json.name('ids').hexBytes(Uint8Array.of(1, 255))
      json.name('none').array(() => {})
    })
    json.object(() => json.members({ id: 2n, left: undefined }))
  })
  expect(json.text).toBe(`[{
        "id": 1,
        "name": "a",
        "ids": ["0x01","0xff"
        ],
        "none": []
    },{
        "id": 2
    }
]
`)
})
