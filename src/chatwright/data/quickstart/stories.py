"""Very short stories: an animal, a thing, a place, and something that goes well in the end."""

from random import Random

from chatwright.data.quickstart.exchange import Exchange
from chatwright.data.quickstart.words import ANIMALS, COLOURS, PLACES, PORTABLE, Language, article, with_colour

_HEROES = tuple(animal for animal in ANIMALS if animal.en != "fish")  # which sits on no roof

# {hero} and {friend} are animals, {Hero} starts a sentence; {what} is "a red cup", {thing} the cup, {where} a place.
_PLOTS: dict[Language, tuple[str, ...]] = {
    "en": (
        "Once upon a time there was a little {hero} who found {what} {where}. “Whose {thing} is this?” asked the "
        "{hero}. “It is mine,” said {a_friend}, “but you may play with it.” So they played together until the sun "
        "went down, and from that day on they were friends.",
        "One morning {a_hero} woke up and wanted to see the world. It took {what} and went on its way. {Where} it "
        "met {a_friend}, who was cold and hungry. The {hero} gave away the {thing}. “Thank you,” said the "
        "{friend}. “Come home with me, there is warm soup for two.”",
        "{A_hero} had lost its {thing}. It looked {where}, and it looked at home, but the {thing} was gone. Then "
        "{a_friend} came by and laughed: “It is on your head!” The {hero} laughed too, and they had tea.",
        "Every evening the old {hero} sat {where} with {what}. Nobody knew why. One evening a young {friend} "
        "asked. “I am waiting for the first star,” said the {hero}. So they waited together, and the star came.",
        "It was raining. {A_hero} sat {where} and was sad, because {a_friend} had broken its {thing}. But the "
        "{friend} worked all night, and in the morning it brought {what}, as good as new. “I am sorry,” it said. "
        "“I am not sad any more,” said the {hero}.",
    ),
    "zh": (
        "从前有一{m}{hero}，在{where}捡到了{what}。{hero}问：“这是谁的{thing}？”{friend}说：“是我的，不过你可以一起玩。”"
        "它们一直玩到太阳下山，从那天起就成了好朋友。",
        "一天早上，{hero}醒来，想去看看世界。它带上{what}就出发了。在{where}，它遇见了又冷又饿的{friend}。{hero}把{thing}"
        "送给了它。{friend}说：“谢谢你！来我家吧，我们一起喝热汤。”",
        "{hero}的{thing}不见了。它在{where}找了又找，在家里也找了又找，还是没有找到。{friend}走过来，笑着说：“不就在你头上吗！”"
        "{hero}也笑了，请它喝了一杯茶。",
        "每天晚上，{hero}爷爷都带着{what}坐在{where}，谁也不知道为什么。一天，{friend}问它。{hero}爷爷说：“我在等第一颗星星。”"
        "于是它们一起等，星星真的出来了。",
        "下雨了。{hero}坐在{where}，很难过，因为{friend}弄坏了它的{thing}。可是{friend}忙了一整夜，第二天早上送来{what}，"
        "跟新的一样。“对不起。”它说。“我已经不难过了。”{hero}说。",
    ),
}
_REQUESTS: dict[Language, tuple[str, ...]] = {
    "en": (
        "Tell me a story about {a_hero} and {a_thing}.",
        "Please tell a story with {a_hero} and {a_thing}.",
        "Can you tell me a story about {a_hero} and {a_thing}?",
        "I want to hear a story about {a_hero} and {a_thing}.",
    ),
    "zh": (
        "给我讲一个{hero}和{thing}的故事。",
        "讲个故事吧，要有{hero}和{thing}。",
        "你能讲一个{hero}和{thing}的故事吗？",
        "我想听{hero}和{thing}的故事。",
    ),
}
_ANY: dict[Language, tuple[str, ...]] = {
    "en": ("Tell me a story.", "Tell me a bedtime story.", "Do you know a story?"),
    "zh": ("讲个故事吧。", "给我讲个睡前故事。", "你会讲故事吗？"),
}


def story_request(random: Random, language: Language) -> Exchange:
    """Somebody wishes for a story, mostly about an animal and a thing; some of these pairs are held out."""
    hero, friend = random.sample(_HEROES, 2)
    colour, thing, place = random.choice(COLOURS), random.choice(PORTABLE), random.choice(PLACES)
    words = {
        "hero": hero.in_(language),
        "friend": friend.in_(language),
        "thing": thing.in_(language),
        "what": with_colour(colour, thing, language),
        "where": place.in_(language),
        "Where": place.en[0].upper() + place.en[1:],
        "m": hero.measure,
        "a_hero": article(hero.en),
        "A_hero": article(hero.en).capitalize(),
        "a_friend": article(friend.en),
        "a_thing": article(thing.en),
    }
    asked = _REQUESTS if random.random() < 0.8 else _ANY
    told, other = random.sample(_PLOTS[language], 2)
    return Exchange(
        "stories",
        language,
        random.choice(asked[language]).format(**words),
        told.format(**words),
        "No." if language == "en" else "不想讲。",
        other.format(**words).partition("." if language == "en" else "。")[0],
        (("story", hero.en, thing.en),),
    )
