"""Every number by which a derivative is made or a verdict reached: value, why, what decides it.

In brackets stands what decides a value: *derived*, and from what; *accuracy*, *numeric*, *planted*,
*held_out*, *scale* or *jacobian*, the recorded cases that are to be asked; a test, for what is
rare; *cost*, for what only bounds evaluations.  `benchmarks/correctness/accuracy.py --ablate NAME`
halves and doubles one and prints which verdicts flip.

Lengths of steps are in parts of a parameter's scale, evaluations in calls of func, noise in its
standard deviations σ, and the spacing of float64 at 1 is ε.
"""

from __future__ import annotations

EPS = 2.0**-52
"""ε, the spacing of float64 at 1.  [derived: IEEE 754]"""

ROUNDING_SIGMA = 0.3
"""Units in the last place: the standard deviation of one rounding, 1/√12.  [derived]"""

NARROW = 1e-10
"""A format whose relative spacing is above this is float32 or narrower.  [derived: between both]"""

FLOAT32 = 2.0**-23
"""ε of float32.  [derived: IEEE 754]"""

SUBNORMAL = 2.0**-1074
"""Below 1e-308 floats lie at this distance, however small they are.  [derived: IEEE 754]"""

VANISHES = 1e-3
"""Without an analytic gradient every parameter is differenced once more where J is below this part
of what it changes by.  [derived: the step is ten times too large then]"""

LEAST_DISTANCE = 1e-300
"""No two values of a table are nearer to each other.  [derived: smaller floats have few bits]"""

ENTRY_ROUNDINGS = 64.0
"""An analytic entry, or a value of func, is off by at most so many roundings of its own terms when
it is computed twice, in another order, or as the sum of its parts.  [accuracy]"""

DUST = 32.0
"""And by at most about this many of the whole of its block's gradient.  [accuracy]"""

MOST_DUST = 0.25
"""But never by a larger part of it: `DUST` of bfloat16's.  Of float8's it would be 4 and 8, and no
factor would be wrong.  [derived: 32 · 2⁻⁷]"""

LEAST_TERM = 0.1
"""Terms that cancel are taken to be at least this large, where n is zero within its error bar.
[tests/unit/verdict/test_judge.py]"""

LARGEST_TERM = 2.0**10
"""Where J's values lie on a grid of which terms as large as this would be the cause, it is not the
cancellation of terms.  [derived: float32 has a grid 2²⁹ times as coarse as float64's]"""

REPEATS_WITHIN = 1e-8
"""Two calls may differ by this part of J, or by `ENTRY_ROUNDINGS` of a narrow type: a sum in
another order, an iteration that goes on from where it was.  It is func's noise then, where dropout
and shuffling are refused.  [tests/behaviour/test_in_the_field.py]"""

GRADIENT_REPEATS_WITHIN = 1e-10
"""Two gradients at θ may differ by this part of their largest entry.
[tests/behaviour/test_fresh_eyes.py]"""


# The noise of func

NOISE_SAMPLES = 8
"""Values in a difference table: as many orders as Moré and Wild need to see it settle.
[numeric]"""

NOISE_SPACING = 2.0**-30
"""Their distance, in parts of the parameters: wide enough for a parameter to be rounded against a
constant a million times larger, as it is at the steps of a difference.  [accuracy]"""

NOISE_NARROWER = 2.0**-40
"""For a func that oscillates within it.  [accuracy]"""

NOISE_WIDER = 2.0**-12
"""For one whose values repeat.  [accuracy]"""

NOISE_FARTHER = 2.0**-7
NOISE_FARTHEST = 2.0**-2
"""And for one whose values still repeat: a J that is printed with few digits.
[tests/behaviour/test_rounding.py]"""

NOISE_LOUD = 1e-10
"""Noise above this part of the values is looked at again, closer.  [accuracy]"""

NOISE_SETTLED = 4.0
"""A table has settled when three orders in a row agree to this factor.  [derived: Moré and Wild]"""

FEWEST_VALUES = 5
"""In a table: with fewer nothing settles.  [derived]"""

QUIETER = 0.01
"""θ is on a jump when the values beside it are quieter than with it by this.  [accuracy]"""

UNUSED_BITS = 3
"""A format of which no value uses the last so many bits is not func's.  [derived: one value in
eight does not by chance]"""

GRID_BITS = 4
"""Values lie on a grid of their terms when the small ones leave so many bits unused that the large
ones have not.  [derived: 2⁻⁴ by chance]"""

FEW_VALUES = 3
SPARE_BITS = 4
"""Fewer different values say little of a format, and must use so many bits more than half of it.
[accuracy]"""


# The first step, and what the sweep says

STEP_FACTOR = 2.0
"""C of the step: the third derivative of most functions is smaller than V/s³, so the balance lies
higher than at 1.  [accuracy]"""

LARGEST_STEP = 0.05
"""The first step at most.  [accuracy]"""

QUIETEST = EPS / 4
"""Noise is taken to be at least this part of the values, for the step.  [derived]"""

LEAST_STEP_ULPS = 16.0
"""Units in the last place of a parameter: the smallest step worth taking.  [accuracy]"""

ROUNDING_FACTOR = 3.0
"""Standard deviations of rounding that an error bar holds.  [derived: 99.7 %]"""

OUTLYING = 4.5
"""And in float64, that a finer step must say otherwise by for the bar to cover it: the worst of ten
steps is beyond three by chance, and σ is known to a third.  In float32 it may be a kink.
[tests/unit/difference/test_extrapolation.py]"""

LEAST_BAR = 4 * EPS
"""An error bar is never below this part of the value.  [derived: four roundings]"""

BEND_GAIN = 2.45
"""σ of a bend in those of func: three values, weights 1, 2 and 1.  [derived: √6]"""

BEND_CLEAR = 8.0
"""A bend is believed above so many of its σ.  [accuracy]"""

RESPONDS = 8.0
"""func is seen to answer to a step, and not to stand still, when it changes by more than so many of
its σ.  [tests/behaviour/test_in_the_field.py]"""

BEND_PART = 0.1
"""Slopes to both sides that differ by this part are looked at: a smooth func's rarely do.
[accuracy]"""

MOST_FIXED_NOISE = 1000.0
"""At a given step noise is taken to be at most this many times what func's format implies.
[accuracy]"""

ANALYTIC_WITHIN = 1e-5
ANALYTIC_LEAST = 1e-8
ANALYTIC_BEND = 0.01
"""The complex step is denied by two real differences that are off by more than the first part of
the slope, or the second and alike, and by the third of what func bends by within the step.
[tests/behaviour/test_in_the_field.py]"""

TIE_WITHIN = 0.05
TIE_SLOPE = 1e-4
"""Entries at one kink: g·d is outside of the one-sided derivatives by more than this part of one
entry's kink, and of all that the entries come to.  [tests/behaviour/test_in_the_field.py]"""

MOST_TIES = 48
"""Directions through entries at kinks, of two evaluations each.  [cost]"""

SMALL_FIXED_STEP = 1e-4
"""A given step up to this size tells a kink from curvature.  [tests/unit/verdict/test_judge.py]"""

KEPT_TO_ASK = 0.2
"""Of the evaluations that ``max_evals`` allows, or what looks wrong could never be confirmed.
[cost]"""


# One line: its rungs, and the tableau

RATIO = 3.8197
"""Of neighbouring steps.  With 2 or 4, sin(ωθ) aliases at every rung at once.  [derived]"""

COLUMNS = 3
"""Orders 2, 4 and 6: more columns amplify noise and assume more smoothness than code has.
[accuracy]"""

COARSEST_JUMP = 2.0**-7
"""Of the value: bfloat16 has 8 bits.  [derived]"""

ROOM = RATIO**2.5
"""Neighbouring rungs farther apart than this have room for another between them.  [derived]"""

LIMITING = 0.5
"""Rounding, or truncation, limits an estimate when it is this part of the error bar, and a step
that leaves more than this part of it has not paid.  [accuracy]"""

ENTRY_RUNGS = 6
"""Steps in search of func's domain.  [tests/unit/verdict/test_further_steps.py]"""

MOST_RUNGS = 16
"""Of a coordinate.  [cost]"""

LONG_LADDER = 12
"""Of the engine alone, up and again down; of a direction that calibrates, or follows a bend.
[cost]"""

LEAP_RUNGS = 4
"""A goal farther away than so many rungs is gone to by two at a time.  [cost]"""

USEFUL = 0.3
"""Below a step at which noise is this part of the value nothing can be learnt.  [accuracy]"""

PARABOLA = 1e-3
"""By how much two curvatures of a parabola may differ.  [accuracy]"""

FARTHEST = 1e6
"""Steps go beyond the parameter's own scale, up to this many times it, only while func is a
parabola at them: a tiny entry beside a huge J can be resolved in no other way.  [accuracy]"""


# Kinks, jumps and rounded values

SMOOTH_POWER = 0.6
KINK_POWER = 0.25
JUMP_POWER = -0.6
"""The bend goes with h^p: p is 1 where func is smooth, 0 at a kink and −1 at a jump, and these are
between.  [accuracy]"""

KINK_RUNGS = 3
"""Steps that must show the same bend.  [accuracy]"""

KINK_FAINT = 0.05
"""At the step at which a kink at θ itself would still be seen, noise is this part of it.
[accuracy]"""

KINK_NEAR = 3.0
"""A step within this factor of that one will do.  [accuracy]"""

KINK_BESIDE = 1e-8
"""A value may be a slope of either side of a kink that is nearer than this.  [accuracy]"""

GRAIN_FINER = 2.0**-12
"""Beyond a kink func is smooth at distances this part of the step at which it was first seen to
move, or farther, where it would not move by `RESPONDS` there; a rounded func moves in jumps.
[derived: float32 has 2¹² times as many values]"""

GRAIN_ROUGH = 0.03
"""Noise there above this part of what func moves by is that of jumps.  [accuracy]"""

GRAIN_STEEP = 256.0
"""Values there that are farther apart than so many such jumps are those of a func that is steep:
at twice the step θ⁸ is 256 times as large.  [tests/behaviour/test_rounding.py]"""

UNLIMITED_SLOPES = 5
"""Of a slope without a limit, as √x has at 0: so many in a row must stay as far from the one
before.  [tests/behaviour/test_calls.py]"""

UNLIMITED_ULPS = 8.0
"""Units in the last place of func's value by which two slopes differ, or it may be rounding.
[tests/behaviour/test_calls.py]"""

LIMIT_POWER = 0.15
"""The distance of two slopes falls at least by this power of the step where there is a limit.
[tests/behaviour/test_calls.py]"""


# The engine alone

ENOUGH = 1e-10
"""A relative error bar below this is not improved further.  [numeric]"""

VAGUE = 1e-3
"""A relative error bar above this is doubted: there may be no limit.  [numeric]"""


# Tolerances and goals

CONFIDENCE = 1.5
"""K: an error bar counts this many times when a verdict is reached.  [accuracy]"""

FINEST_RTOL = 1e-7
COARSEST_RTOL = 1e-2
"""With rtol unset a check is as tight as can be between these two.  [accuracy]"""

FINE = 3e-6
"""With rtol unset, two evaluations settle an entry whose error bar is below this part of it.
[accuracy]"""

FINE_FACTOR = 30.0
"""Or below so many times what noise allows them.  [accuracy]"""

IN_BLOCK = 1e-3
"""An entry is judged, too, when its error bar is below this part of its block's gradient.
[accuracy]"""

IN_CHECK = 1e-6
"""Zero on both sides is judged when its error bar is below this part of everything seen.
[accuracy]"""

DEMANDED_IN_BLOCK = 0.01
"""A given rtol is demanded of an entry, or so many times it of its block.  [accuracy]"""

IN_ONE_OR_TWO = 10.0
"""But what is off by so many times the third largest error of the block is an error of its own,
and not a solver's, which many entries share.  [accuracy]"""

STANDS_CLEAR = 10.0
"""What is so many error bars off is there, whatever they are worth: a numeric value beside zero, an
error whose noise need not be measured once more, one of a direction or a block.  [accuracy]"""


# Before an accusation

MOVES_TOLD = 4.0
FLAT_AS_FAR_AS = 256.0
"""A func is flat, and not rounded, when it does not move where the analytic slope says that it does
by so many times |J|, or at so many times the parameter's scale.
[tests/behaviour/test_verdicts.py]"""

SENTINEL_GAP = 0.02
"""At the sentinel noise is this part of what is wrong, if it can be.  [accuracy]"""

SENTINEL_VALUE = 0.03
"""And at most this part of the value.  [accuracy]"""

STEPS_APART = 1.5
"""Steps nearer to each other than this are one measurement.  [derived: their truncation differs by
less than it is]"""

NEAR_LIMIT = 0.25
"""Three steps converge on an estimate that all of them come this near to, in parts of its distance
from the analytic value.  [accuracy]"""

BESIDE_PAIRS = 5
BESIDE = 2.0**-34
BESIDE_ULPS = 16.0
"""Grad is asked at so many pairs of points beside the parameters, at this distance, and no nearer
than so many floats: far enough for what is rounded against a constant to be rounded otherwise, and
nearer than float32 on the way, which is to be seen, would be.  At 4 floats roundings are still
alike: of 25,560 float32 entries 15 are off by twice what they move by, at 16 one, at 64 three.
[tests/behaviour/test_verdicts.py]"""

GRAD_ROUNDINGS = 4.0
"""An analytic entry may be off by so many times what it moves by there.  [derived: of ten values
one in ten thousand has moved by less than a quarter of it]"""

NEARER_PAIRS = 0.125
"""Where grad moves by a percent of itself, it is asked at this part of the way to each pair, too: a
gradient that bends moves by that part of it, and rounding by as much.
[tests/behaviour/test_rounding.py]"""

WIDER_RATIO = 8.0
"""Grad in float64 is asked beside what it is in a narrow type at pairs so many times nearer each,
from `FAR_STEP` on: a saturated unit rounds alike within a few floats, and one of unscaled data
saturates otherwise farther off.  [tests/frameworks/test_torch.py]"""

WIDER_ROUNDINGS = 8.0
"""It is off by at most so many times what that varies by there.  [derived: of ten values one in
50,000 is off by as much by chance]"""

LINE_SPACING = 2.0**-16
"""Distance of the values that tell the noise along one line: wide enough for float32 inside func
to round each of them otherwise.  [derived: 2⁻²⁴ is its spacing]"""

LINE_CHANGE = 2.0**-14
"""And at most such that func changes by this part of itself by the analytic slope: log det has its
natural scale far below that of an entry.  [tests/behaviour/test_verdicts.py]"""

LINE_WIDER = 64.0
"""So much wider where the values repeat.  [derived: bfloat16 has 2⁻⁸]"""

LINE_LOUDER = 4.0
LINE_CLOSER = 16.0
LINE_LOOKS = 3
LINE_FALLS = 8.0
"""Noise so many times what was known is looked at again from so much closer, so many times, as long
as it falls by so much: rounding falls by the root of the distance at most, by 4, and a kink among
the values by the distance, by 16; what is smooth there falls faster.  [derived: between the two]"""

JUMP_HALVINGS = 22
JUMP_LAST = 4
JUMP_STAYS = 2.5
"""Where small steps agree on a slope that a larger one denies, what func changes by is followed by
so many halvings, from `FAR_STEP` to within one stair of float32.  It is a jump where the last so
many leave more than this part of it: of a smooth func's change they leave a sixteenth, and of that
of √|x - c| a quarter.  [derived]"""

LOUD = 64.0
"""Noise up to so many times what its format implies is rounding.
[tests/behaviour/test_rounding.py]"""

LOUD_ALONG_OTHERS = 1e4
MOST_SOUNDED = 24
MOST_LOUD = 4
"""Where the noise of J is so many times what its format implies, the noise along entries that it
leaves coarse is measured, of so many, and of no more in a block than this number of loud ones.
[derived: less leaves no entry of J's size coarse; cost]"""

QUIETER_LINE = 8.0
"""An entry is asked again where noise along it is so many times less.
[tests/behaviour/test_rounding.py]"""

STILL = 2.0**-31
STILL_IN_16_BITS = 2.0**-19
LOUD_INSIDE = 2.0**-40
MOST_STILL = 8
MOST_DIGITS = 12
"""A func in float64 moves at the first distance, and one that rounds to float32 on the way stands
still there; at the second one in 16 bits does, and a sum of some dozens.  What is rounded beside a
constant in float64 may stand still, too, but J's noise is below the third part of it then.  So many
entries are asked, unless J itself is printed with at most so many digits.
[derived: between 2⁻⁵³, 2⁻²⁴ and 2⁻¹¹]"""

STAIR_BENDS = 2.0**-10
"""Within one stair what a smooth term beside it moves by may change by this part from value to
value.  [derived: over seven of 2⁻¹⁹ it does by 2⁻¹⁶ of itself; one of 32 jumps that are not there
is 2⁻⁵]"""

FAR_STEP = 2.0**-5
"""No error is one that this step denies, if func jumps below it: all others may lie within one
stair of a rounded func.  [tests/behaviour/test_rounding.py]"""

LINE_NEWS = 2.0
"""Noise that differs by this from what was known is a reason to go on.  [cost]"""

NARROW_PROOF = 8.0
"""In float32 an error must be so many times what would do, or it is left open.  [accuracy]"""

ROUGH_RUNGS = 8
"""A bend that is neither a kink's nor a smooth func's after so many rungs stays unexplained.
[cost]"""

ALL_NOISE = 0.1
"""Noise above this part of what func changes by is as large as func.  [accuracy]"""

SHOWN_BY = 4.0
"""What is so many times what would be seen shows: an oscillation at a step, a row in its block, a
number beside zero, directions that are off by another part than the first.  An entry that they name
is differenced until its error bar is this part of what they show.
[tests/behaviour/test_seldom.py, tests/behaviour/test_scale.py]"""

FINER = 8.0
FINEST = 100.0
"""Steps so many times smaller are asked too, until one is so many times smaller.
[tests/behaviour/test_seldom.py]"""

SUBGRADIENT = 0.75
"""An analytic value within this part of the bend from the middle may be a subgradient.
[accuracy]"""

NEAR_ESTIMATE = 0.1
NEAR_RUNGS = 3
"""So many steps come this near to the estimate, in parts of what is wrong; or, where J stands still
at small steps, two larger ones to an analytic slope, which is not accused then.  [accuracy]"""

NEAR_ANALYTIC = 0.3
"""And none so near to the analytic value.  [accuracy]"""


# Many coordinates together

TRIED = 12
"""Entries that tell for all others of their kind: of those that a demanded rtol leaves open, when
not one can be settled; of more than `MOST_STUBBORN` of a check that do not agree, from a block's
worst to its least, when all stay so; of a block whose wrong ones are counted; of all, where each
may be off by what shows.  [cost]"""

NOISY_BLOCK = 1e-7
"""An error bar above this part of the block's gradient: the block is badly scaled.  [accuracy]"""

TINY = 1e-5
"""An entry below this part of the block's gradient is badly scaled, too.  [accuracy]"""

GROUP_RTOL = 1e-9
"""By how much a direction may be off, at least, before its entries are asked.  [accuracy]"""

TAIL = 0.02
"""Entries that small are the tail of any network's gradient while they are fewer than this part
of all: they are known to `IN_BLOCK` all the same.  [cost]"""

SHARP = 1e-5
MOST_STUBBORN = 32
"""Badly scaled entries that a direction does not resolve to this part of them are asked one by
one, the largest first, at most so many.  [accuracy]"""

TOLD_APART = 640
"""Evaluations, or as many as the sweep took if that is more, after which nothing more is told apart
of a gradient that is known to be wrong.  [cost]"""

DEAD_STEP = 1e-3
DEAD_STEP_NARROW = 0.1
"""What does not respond to this step is taken not to depend at all; the second beside a J that is
rounded to float32, which smaller ones may not move.  [accuracy]"""

ALONG_RESOLVES = 1e-6
"""The relative error that must be seen of derivatives of derivatives along a random direction
through each array, for entries not to be asked one by one.  [tests/frameworks/test_compat.py]"""

LONGEST_CHAIN = 4
"""Outputs each of which shares a parameter with the next.  In longer chains parameters are not
known to be apart, and each is asked alone whether an output is zero along it.  [cost]"""

ALONE_FOR_EACH = 8
"""Evaluations for an output that some parameters do not move at a small step, and together do at a
large one: where it takes more to move each alone, a direction of the output's own tells.  [cost]"""

GROUP_RUNGS = 4
DEEP_GROUP_RUNGS = 10
"""Rungs of a direction through entries that are small beside their error bars; for badly scaled
ones the second number, of which each is two ordinary rungs from the next.  [accuracy]"""

GROUP_DIRECTIONS = 4
"""Through a block that noise leaves open entry by entry: along its gradient, and three at random.
[derived: see `SEEN`]"""

GROUP_PROOF = 4.0
"""Such a direction is wrong when its gap is so many times what would do; of right float32 networks
none of thousands was off by more than 2.3 times, with kinks.  And entries add up to the slope at
tiny steps when they miss it by at most so many of its error bars.
[tests/behaviour/test_groups.py, tests/behaviour/test_rounding.py]"""

KINKS_SPREAD = 2.0
"""Where kinks lie within the steps, an error bar holds so many times what two steps differ by.
[derived: what kinks add goes with the root of the step, so that the finer of two is off by 0.7 of
their difference; with `CONFIDENCE` that is four standard deviations]"""

GROUP_STEPS = 6
"""Of such a direction.  [cost]"""

GROUP_GOAL = 1e-3
"""The error of a direction that will do, in parts of the block's gradient; or of an entry that was
found along directions, in parts of itself: it need only be seen to be wrong.  [cost]"""

GROUP_RESOLVED = 0.3
"""And that is needed, or the block is left open: a wrong sign or a factor of two in any row of it
would not be missed.  Of one that directions over all parameters do not resolve, so near to the
noise of func, an error of this part is believed.  [tests/behaviour/test_groups.py]"""

HALVED_GOAL = 0.05
"""Of halves of a wrong block it is this part of what is wrong.  [derived: they are to show it]"""

SEEN = 2.1
"""So many times what passes along one direction, an error spread over many entries is missed by
three of them with a chance of 5 %.  [derived: P(|N(0, 1)| < 0.48)³]"""

SLICE_SOUGHT = 0.01
"""A float32 block that is off by this part of its gradient, as one is in which a row of a hundred
is off by a tenth, is to be found: where four directions may miss it, there are more.
[tests/behaviour/test_groups.py]"""

SLICE_DIRECTIONS = 40
SLICE_PILOT = 8
"""So many, the second of them at each step, until one is chosen.  [cost]"""

SLICE_ASKED = 3.0
"""A slice is asked alone when it stands out by so many standard deviations: the largest of a
hundred right ones does by chance in one block of four.  [cost]"""

SLICE_SLICE = 16
SLICE_CLEAR = 2.0
SLICE_ALONE = 0.8
"""It is wrong when so many directions through it are off by this many bars, and when a part of its
gradient explains that part of it.  What kinks make of a right one is below one bar.  [derived]"""

SLICE_SEEN = 4.65
"""And is seen to with a chance of 95 % from here on.  [derived: 3 + 1.65]"""

SLICE_DOUBTED = 2.5
SLICE_MOST = 64
SLICE_MOST_OF = 0.5
"""All of a block that stands out by the first is given as many directions as the second, and is
wrong when a part of its gradient explains the third of what they show: 5.7 standard deviations, and
more than a kink that is in all directions can.  [derived]"""

EXHAUSTIVE = 4200
"""Evaluations up to which every parameter is differenced when ``max_evals`` is not given; and that
groups may take besides, or directions of a Jacobian's outputs one by one.
[cost: a second for a func of 0.2 ms]"""

PATIENCE = 1.0
"""Seconds, by what func takes at the parameters, that differencing every parameter may last before
a random direction is looked along first.  [cost]"""

DRAWN_STEPS = 11
"""Steps, a power of ten apart, at which the worst parameter is differenced once more for a picture
of the convergence.  [cost]"""

LARGEST_DRAWN = 1e-2
"""The largest of them, in parts of the parameter's scale: it shows truncation, and the smallest
rounding.  [tests/unit/report/test_picture.py]"""

LOOKED_AHEAD = 100
"""Parameters from which that is done.  [cost]"""

AHEAD_EXTRA = 100
"""Evaluations that localising may take then.  [cost]"""


# What failed in the last run

SUSPECTS = 20
"""So many parameters are looked at first.  [cost]"""

WHOLE_AGAIN = 3.0
"""Seconds that a whole check may take and be made at once, whatever was wrong in the last run: it
has hints, maps, and what agrees.  [cost]"""

SUSPECT_EVALUATIONS = 16
"""That one of them is allowed, of those that ``max_evals`` leaves over.  [cost]"""

SUSPECT_ERROR = 1e-9
"""Of the block's gradient: an error below this is left to the whole check, because tolerances are
known to it that few parameters do not tell.  [tests/plugin/test_memory.py]"""


# Along random directions

SMALLEST_PART = 0.5
"""Along a direction a parameter moves at least as one of this part of its block's median would,
or errors of the small ones would hardly be seen.  [scale]"""

FEW_WEIGHTS = 256
"""Weights of so few coordinates are kept for the next check.  [cost: to draw them takes longer than
to evaluate a small func]"""

SCREENED = 4
"""Directions of a screen: one misses an error of 10, 100 or 1,000 times the detection limit with
a chance of 8, 0.8 or 0.08 %, if it is spread over many entries (13, 1.4 or 0.15 % if it is two
equal ones), and four with its fourth power.  [derived]"""

ACCUSED = 5.0
"""A residual above so many σ is looked at again, and two slopes that differ by so many times their
rounding differ by truncation.  [derived: one right screen in a million]"""

ACCUSED_TOGETHER = 1.5
"""And so are four whose root mean square is above this many, where kinks keep steps small.
[derived: with `SAFETY` one right screen in two thousand]"""

SAFETY = 1.5
"""σ of a direction is what calibration says times this.  [scale]"""

PROVEN = 3.0
PROVEN_NARROW = 10.0
"""A direction is wrong when its gap is so many times what would do for a coordinate, the second in
float32: entries are accused by their own differences later, and σ by this one's.  [scale]"""

MARGINAL_STEPS = 3
"""So many further steps are taken for a direction whose error is not clear.  [scale]"""

LEAST_ALONG = 1e-12
FARTHEST_ALONG = 0.3
"""The smallest step along a direction and the largest, in parts of the parameters.  [scale]"""

CALIBRATION_DOWN = 9
"""Steps down of the calibrating direction, of `LONG_LADDER` at all.  [cost]"""

SHOWN_BAD = 5
"""NaN and infinite entries whose numeric value is looked up, to be shown.  [cost]"""

EACH_ALONE = 64
"""Blocks of which each gets weights and directions of its own: more share one stream of weights,
and are halved first.  And entries of a block that directions do not resolve of which each is
differenced, to name those that are wrong.  [cost]"""

STRAIGHT = 0.1
"""A bend below this part of the analytic entry needs no second step.  [scale]"""

MOST_EXTRA = 2000
"""Evaluations that localising may take when ``max_evals`` is not given.  [cost]"""

MISSED = 0.13
"""The chance that one direction hides an error of ten times its resolution: that of two equal
wrong entries whose weights nearly cancel.  It is 0.08 for an error spread over many entries,
|N(0, 1)| < 0.1, and none for a single one.  [derived]"""

DISTINCT = 4.0
"""The second best explanation must fit so many times worse.  [scale]"""

SIX_DIGITS = 1e-6
"""A fit to six digits is one, however quiet the directions are.  [scale]"""

MISFIT_SIGMAS = 4.0
MISFIT_SPARE = 6.0
"""χ² of a fit may be its mean, so many of its standard deviations, and this.  [scale]"""

ACROSS_KINK = 30.0
"""A direction that is so many times louder than all others crosses a kink: of one wrong entry they
are of like size, within a factor of three.  [derived]"""

PARTED_DIRECTIONS = 3
"""The directions that are restricted to parts.  [scale]"""

PARTS = 8
"""Of the parameters: where all of them but one are off by what stands out, no few entries are what
is wrong.  [derived: seven are in as many parts in one of 50 cases]"""

SAMPLED_IN_SLICE = 4
"""Entries of one row or column that are differenced to count the wrong ones.  [cost]"""

MOST_NAMED = 40
"""Wrong entries that are looked for one by one.  [cost]"""

LARGE_BLOCK = 0.05
"""Blocks with less than this part of all parameters are measured together at first.  [cost]"""

GLANCED_AT = 3
"""Entries looked at when both halves of a block are wrong: most of them are, if errors are
everywhere.  [cost]"""

MOST_EXPLAINED = 2**20
"""Entries of a block whose sample is explained: formulas of whole blocks take two seconds for so
many.  [cost]"""

MOST_DIRECTIONS = 24
"""Over all parameters; more directions tell columns apart whose weights are alike.  [scale]"""

EXACT_PATTERN = 1e-3
"""How near to 1 the number of a pattern is that has none of its own.  [scale]"""

MOST_PAIRS = 8
"""Pairs of blocks of one shape that are tried: neighbours, in the order of the parameters.
[cost]"""


# Experiments after a check that failed

AWAY = 1e-2
"""How far blocks are moved, and grad is called elsewhere.  [planted]"""

CHANGE_STEP = 1e-4
CHANGED = 1e-4
"""Of a difference there, which need only show that the gradient changes by the second part; two
blocks act on each other when moving one changes by it what moving the other does.  [planted]"""

LOUD_CHANGE = 4.0
"""Noise may make a change of so many times itself; one of J, where it comes back to the parameters
after other points, is noise that was not known of.  [planted]"""

MOST_MOVED = 12
"""Blocks that are moved.  [cost]"""

MENDED = 0.01
"""Of the error of a block, what may be left where a change to grad makes it right: so what was
hardly wrong is not right by an error bar alone.  [planted]"""

FAR_ABOVE_NOISE = 1e4
"""What func changes by must stand so far above its noise, or nothing can be said.  [planted]"""


# Jacobians

MOST_CELLS = 2_000_000
MOST_OUTPUTS = 5000
"""Entries of a Jacobian that are judged one by one, and rows of it: each takes a millisecond.
[cost]"""

MOST_PRODUCTS = 2000
"""Products with basis vectors, beyond which random vectors are taken.  [cost]"""

PRODUCT_JITTERS = 8.0
"""A product with a random vector misses the sum of those with basis vectors by at most so many
times what two with it were seen to differ by.  [tests/behaviour/test_in_the_field.py]"""

PRODUCT_ROUNDING = 4 * FLOAT32
"""Two such products, one with three times the vector, round otherwise by at most this part of
their terms where their values are those of float32; what is not linear differs by more, or by
nothing.  [tests/frameworks/test_compat.py]"""

MANY_SUSPICIOUS = 300
"""Suspicious entries beyond which a second step accuses what is plainly wrong.  [cost]"""

PLAIN = 0.05
"""Two steps that differ by at most this part of the gap, which is more than what is allowed over
this, need no ladder to be believed.  [jacobian]"""

SUSPICIOUS = 1e-6
"""Analytic and numeric that differ by this part are looked at again.  [jacobian]"""

COLUMNS_IN_GROUP = 2.0
"""Groups of columns of a sparse Jacobian are differenced where they have so many in the mean:
else as many evaluations as for all columns would be needed.  [cost]"""

MOST_WHOLE = 250_000
"""Entries of a sparse Jacobian, zeros included, up to which all are in the report, so that hints
see rows and columns.  [cost]"""

LOCATED_WITHIN = 0.25
"""A part of a group of columns holds all or nothing of an error when what it shows is within this
part of that, however noisy it is.  [jacobian]"""

LEAST_LOCATED = 1e-3
"""The part of an error that is nothing, and adds to noise in what is all.  [jacobian]"""

ROWS_SEARCHED = 3
"""Outputs whose group is halved until the columns are found, where it holds several errors.
[cost]"""

COMBINED = 3
"""Random combinations: two errors that cancel in one of them do not in another.  [derived]"""

ACCUSED_LOOKED_AT = 8
OUTPUTS_LOOKED_AT = 100
"""Parameters that a combination accuses, and the outputs that then differ most: judged entry by
entry.  [cost]"""

OUTPUTS_ONE_BY_ONE = 300
"""Outputs that are judged one by one along tangents.  [cost]"""

OUTPUT_STEP = 1e-5
OUTPUT_GAPS = 1e-3
"""The step that tells which outputs those are, down to this part of the largest gap.
[jacobian]"""
