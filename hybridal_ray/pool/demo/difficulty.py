"""How hard the demo pool is, in one place, and how much its boxes move."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoDifficulty:
    """What makes a detector's work on the demo pool easy or hard; lengths are fractions unless said otherwise.

    The motion fields (from `action_strength` to `box_margin`) are calibrated together, so that boxes interpolated
    between labelled frames 5, 10, 20 and 40 frames apart agree with the truth as on real videos (UCF101-24:
    mean IoU 0.908, 0.863, 0.789, 0.698). Change them only with the test that holds them to it.

    Attributes:
        actor_height: Range of the standing height of an actor who is alone, of the frame's height.
        paired_actor_height: The same for the two actors of a paired source.
        pair_share: Sources with two actors.
        action_period: Range of the frames that one repetition of an action takes; one value an actor.
        usual_action_share: Clips in which an actor does what is usual in its source; in the others it does anything,
            drawn anew. At 1, clothes and backdrop give the action away, and detectors learn them by heart: a
            compact one trained on all labels for 1,500 steps got a frame-mAP@0.5 of 0.30, and 0.74 to 0.80 at 0.5.
        contrast: Least distance in RGB (0-255 a channel) between clothes and backdrop, in scenes that keep it.
        bystanders: Least and greatest number of idle, unannotated figures in a crowded scene.
        dark_gain: Range of the brightness of a dark scene.
        sensor_noise: Standard deviation of the camera's noise, in grey levels.
        dark_sensor_noise: The same in a dark scene.
        idle_share: Tubes with idle frames of the actor before the action, after it, or both.
        entrance_share: Tubes whose actor comes into the frame late, or leaves it early.
        action_strength: Range of the amplitude of an action; 1 is the plain amplitude.
        actor_wander: Standard deviation of an actor's slow sideways drift, of its height.
        depth_wander: Standard deviation of the logarithm of an actor's slowly changing size.
        camera_wander: Standard deviation of the drift of a hand-held camera, in pixels.
        wander_period: Range of the periods, in frames, of which slow drift is made.
        swing_reach: Frames before and after, over which annotators see limbs swing.
        swing_room: How much of the space that limbs swing through in these frames is left in the box; 0 is the
            tight box of the frame, 1 the box of all of them.
        box_jitter: Standard deviation of the annotator's error at each edge, of the box's width or height.
        jitter_memory: Correlation of that error from one frame to the next.
        box_margin: Pixels that annotators leave around the figure.
    """

    actor_height: tuple[float, float] = (0.48, 0.68)
    paired_actor_height: tuple[float, float] = (0.42, 0.54)
    pair_share: float = 0.18
    action_period: tuple[float, float] = (10.0, 17.0)
    usual_action_share: float = 0.5
    contrast: float = 110.0
    bystanders: tuple[int, int] = (2, 4)
    dark_gain: tuple[float, float] = (0.30, 0.50)
    sensor_noise: float = 4.0
    dark_sensor_noise: float = 7.0
    idle_share: float = 0.30
    entrance_share: float = 0.12
    action_strength: tuple[float, float] = (0.8, 1.15)
    actor_wander: float = 0.07
    depth_wander: float = 0.085
    camera_wander: float = 3.0
    wander_period: tuple[float, float] = (25.0, 85.0)
    swing_reach: int = 4
    swing_room: float = 0.6
    box_jitter: float = 0.024
    jitter_memory: float = 0.5
    box_margin: float = 0.5
