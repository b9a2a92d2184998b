/**
 * The greatest value of the last so many rounds, without keeping them all: the best three, each newer than the one
 * before, as Linux does it (lib/win_minmax.c, after Kathleen Nichols).
 */
export class WindowedMax {
  private readonly length: number;
  private first = 0;
  private firstAt = 0;
  private second = 0;
  private secondAt = 0;
  private third = 0;
  private thirdAt = 0;

  /** `length`: for how long a value counts, in the units of `at`. */
  constructor(length: number) {
    this.length = length;
  }

  get value(): number {
    return this.first;
  }

  /** A value at a time, which does not run backwards. */
  add(value: number, at: number): void {
    if (value >= this.first || at - this.thirdAt > this.length) {
      this.first = this.second = this.third = value;
      this.firstAt = this.secondAt = this.thirdAt = at;
      return;
    }
    if (value >= this.second) {
      this.second = value;
      this.secondAt = at;
      this.takeThird(value, at);
    } else if (value >= this.third) {
      this.takeThird(value, at);
    }
    this.age(value, at);
  }

  private takeThird(value: number, at: number): void {
    this.third = value;
    this.thirdAt = at;
  }

  /** The best is dropped when it is too old; meanwhile its heirs are taken from later parts of the window. */
  private age(value: number, at: number): void {
    const age = at - this.firstAt;
    if (age > this.length) {
      this.promote(value, at);
      if (at - this.firstAt > this.length) this.promote(value, at);
    } else if (this.secondAt === this.firstAt && age > this.length / 4) {
      this.second = value;
      this.secondAt = at;
      this.takeThird(value, at);
    } else if (this.thirdAt === this.secondAt && age > this.length / 2) {
      this.takeThird(value, at);
    }
  }

  private promote(value: number, at: number): void {
    this.first = this.second;
    this.firstAt = this.secondAt;
    this.second = this.third;
    this.secondAt = this.thirdAt;
    this.takeThird(value, at);
  }
}
